//! Puts the memory maps of the boards where a program finds them: cargo tells its build script of the folder.
//!
//! A dongle's begins behind what the manufacturer put there.

use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    for (board, map) in [("dongle", include_str!("dongle.x")), ("kit", include_str!("kit.x"))] {
        let folder = out.join(board);
        std::fs::create_dir_all(&folder).expect("a folder of our own");
        std::fs::write(folder.join("memory.x"), map).expect("a folder of our own");
        println!("cargo::metadata={board}={}", folder.display());
        println!("cargo:rerun-if-changed={board}.x");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
