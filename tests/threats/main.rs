//! The threats of the Internet draft that this product answers to (draft-garcia-core-security-06, section 3.1),
//! one file for each of the nine.
//!
//! Every test has the attacker fail, and beside it the same attacker succeed from whom the defence's premise
//! was taken: he was given the key, or the mistake was planted in the product. Without the second the first
//! would only show that he is clumsy.

mod support;

mod cloning;
mod denial_of_service;
mod eavesdropping;
mod extraction;
mod firmware_replacement;
mod man_in_the_middle;
mod privacy;
mod routing;
mod substitution;
