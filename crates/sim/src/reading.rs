//! What files in TOML are read with: each mistake is told with its line and its field, all of them at once.
//!
//! **Invariant:** one fault does not hide another; a value that could not be read has its fault.

use lowgate_units::Eui64;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 64;
/// Most characters of a wrong value that a fault repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// One thing that is wrong with a file. Its text is one line: `file:line: field: what is wrong, what is
/// allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as the user gave it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// As a path: `device.eui64`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.field, self.what)
    }
}

impl std::error::Error for Fault {}

/// A file that is being read, and what is wrong with it so far.
pub struct Reading {
    file: String,
    /// In front of every field in a fault: where in the file the table stands that is being read.
    prefix: &'static str,
    /// Where each line begins.
    lines: Vec<usize>,
    faults: Vec<Fault>,
    /// Lines that are no TOML. What is missing may stand there, so nothing counts as missing then.
    broken_lines: BTreeSet<usize>,
}

/// A table, where it stands, and its name in faults.
#[derive(Clone, Copy)]
pub struct Table<'t> {
    /// Octets from the beginning of the text.
    pub at: usize,
    /// As a header would say it; empty for the root.
    pub path: &'static str,
    /// What it holds.
    pub fields: &'t DeTable<'t>,
}

/// A value, and where it stands.
pub type Value<'t> = &'t Spanned<DeValue<'t>>;

impl Reading {
    /// What `read` makes of the root of a text in TOML; `file` is its name in the faults.
    ///
    /// # Errors
    /// Everything that is wrong: in the order of the lines, what `read` found in other files after that.
    pub fn document<T>(
        file: &str,
        text: &str,
        read: impl FnOnce(&mut Self, &Table<'_>) -> Option<T>,
    ) -> Result<T, Vec<Fault>> {
        // A byte order mark says nothing and would otherwise belong to the first key.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let begins = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut reading = Self {
            file: file.to_owned(),
            prefix: "",
            lines: std::iter::once(0).chain(begins).collect(),
            faults: Vec::new(),
            broken_lines: BTreeSet::new(),
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().next().unwrap_or("not understood");
            reading.fault(at, "toml", format!("{message}; allowed: TOML 1.0"));
            reading.broken_lines.insert(reading.line(at));
        }
        let made = read(&mut reading, &Table { at: 0, path: "", fields: document.get_ref() });
        match made {
            Some(made) if reading.faults.is_empty() => Ok(made),
            Some(_) | None => {
                let mut faults = reading.faults;
                assert!(!faults.is_empty(), "what could not be read has its fault");
                faults.sort_by_key(|fault| (fault.file != file, fault.file.clone(), fault.line));
                Err(faults)
            }
        }
    }

    /// What `read` makes of a table within the file, with `prefix` in front of its fields in faults.
    pub fn within<T>(&mut self, prefix: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.prefix, prefix);
        let made = read(self);
        self.prefix = outer;
        made
    }

    /// What is wrong with other files that this one names.
    pub fn faults_elsewhere(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.extend(faults);
    }

    /// How much is wrong so far.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether a line is no TOML, or a field that begins with `field` has a fault.
    pub(crate) fn at_fault(&self, field: &str) -> bool {
        !self.broken_lines.is_empty()
            || self.faults.iter().any(|fault| {
                fault.field.strip_prefix(self.prefix).is_some_and(|it| it.starts_with(field))
            })
    }

    /// Counted from 1: the line of what stands so many octets from the beginning.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    /// Something is wrong with `field`, which stands at `at`.
    pub fn fault(&mut self, at: usize, field: impl fmt::Display, what: impl Into<String>) {
        let (file, line) = (self.file.clone(), self.line(at));
        let field = format!("{}{field}", self.prefix);
        // What else is odd about a line that is no TOML is bewilderment, not a fault of its own.
        if self.broken_lines.contains(&line) {
            return;
        }
        let fault = Fault { file, line, field, what: what.into() };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Faults every field that is not among `fields`.
    pub fn known(&mut self, table: &Table<'_>, fields: &[&str]) {
        for name in table.fields.keys() {
            let at = name.span().start;
            // Under a header that is not understood, fields come to a table that is not theirs.
            let astray = !self.broken_lines.is_empty() && table.path.is_empty();
            if !fields.contains(&name.get_ref().as_ref()) && !astray {
                let what = format!("unknown field; allowed: {}", fields.join(", "));
                self.fault(at, path(table, &shown(name.get_ref())), what);
            }
        }
    }

    /// A field that must be there.
    pub fn required<'t>(&mut self, table: &Table<'t>, field: &str) -> Option<Value<'t>> {
        let value = table.fields.get(field);
        if value.is_none() && self.broken_lines.is_empty() {
            self.fault(table.at, path(table, field), "missing; it is required");
        }
        value
    }

    /// A value is not what is `allowed`.
    pub fn wrong(&mut self, table: &Table<'_>, field: &str, value: Value<'_>, allowed: &str) {
        let what = format!("{}; allowed: {allowed}", described(value.get_ref()));
        self.fault(value.span().start, path(table, field), what);
    }

    /// Whether `key` is new; if not, that is a fault.
    pub fn once<K: Ord>(
        &mut self,
        table: &Table<'_>,
        field: &str,
        key: K,
        shown: String,
        seen: &mut BTreeMap<K, usize>,
    ) -> bool {
        let at = table.fields.get(field).map_or(table.at, |value| value.span().start);
        let first = *seen.entry(key).or_insert(at);
        if first != at {
            let first = self.line(first);
            self.fault(
                at,
                path(table, field),
                format!("{shown} stands in line {first} already; allowed: once"),
            );
        }
        first == at
    }

    /// Text on one line, not much of it.
    pub fn name(&mut self, table: &Table<'_>, field: &str) -> Option<String> {
        let value = self.required(table, field)?;
        let name = match value.get_ref() {
            DeValue::String(text) => Some(text.trim().to_owned()),
            _ => None,
        };
        let fits = |name: &String| {
            (1..=NAME_CHARS_MAX).contains(&name.chars().count())
                && !name.chars().any(char::is_control)
        };
        let name = name.filter(fits);
        if name.is_none() {
            self.wrong(
                table,
                field,
                value,
                &format!("text of 1 to {NAME_CHARS_MAX} characters on one line"),
            );
        }
        name
    }

    /// A whole number that must be there.
    pub fn integer(
        &mut self,
        table: &Table<'_>,
        field: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = self.required(table, field)?;
        let integer = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            _ => None,
        };
        let integer = integer.filter(|integer| range.contains(integer));
        if integer.is_none() {
            let allowed = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong(table, field, value, &allowed);
        }
        integer
    }

    /// A number that must be there.
    pub fn required_number(
        &mut self,
        table: &Table<'_>,
        field: &str,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let value = self.required(table, field)?;
        self.number(table, field, value, range)
    }

    /// A number that may have a fraction.
    pub fn number(
        &mut self,
        table: &Table<'_>,
        field: &str,
        value: Value<'_>,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|i| i as f64)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        // No NaN lies in a range.
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let allowed = format!("a number from {} to {}", range.start(), range.end());
            self.wrong(table, field, value, &allowed);
        }
        number
    }

    /// Whose number a field holds.
    pub fn eui64(&mut self, table: &Table<'_>) -> Option<Eui64> {
        let value = self.required(table, "eui64")?;
        let eui64 = match value.get_ref() {
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        let eui64 = eui64.filter(|eui64: &Eui64| ![[0; 8], [0xff; 8]].contains(&eui64.0));
        if eui64.is_none() {
            let allowed =
                "a maker's number as \"16 hexadecimal digits\", or 8 pairs with - or : between";
            self.wrong(table, "eui64", value, allowed);
        }
        eui64
    }

    /// A table that is called `path` in faults.
    pub fn table<'t>(
        &mut self,
        value: Value<'t>,
        path: &'static str,
        allowed: &str,
    ) -> Option<Table<'t>> {
        match value.get_ref() {
            DeValue::Table(fields) => Some(Table { at: value.span().start, path, fields }),
            other => {
                let what = format!("{}; allowed: {allowed}", described(other));
                self.fault(value.span().start, path, what);
                None
            }
        }
    }

    /// The tables of an array, as many as `count` allows.
    pub fn tables<'t>(
        &mut self,
        parent: &Table<'t>,
        field: &str,
        path: &'static str,
        count: RangeInclusive<usize>,
    ) -> Vec<Table<'t>> {
        let Some(value) = self.required(parent, field) else { return Vec::new() };
        let allowed = format!("{} to {} tables [[{path}]]", count.start(), count.end());
        let DeValue::Array(array) = value.get_ref() else {
            let what = format!("{}; allowed: {allowed}", described(value.get_ref()));
            self.fault(value.span().start, path, what);
            return Vec::new();
        };
        if !count.contains(&array.len()) {
            let what = format!("{} of them; allowed: {allowed}", array.len());
            self.fault(value.span().start, path, what);
        }
        let tables = array.iter().take(*count.end());
        tables.filter_map(|value| self.table(value, path, "a table")).collect()
    }
}

/// A field of a table, as faults name it.
pub fn path(table: &Table<'_>, field: &str) -> String {
    if table.path.is_empty() { field.to_owned() } else { format!("{}.{field}", table.path) }
}

/// A value as a fault may repeat it: on one line, and short.
pub fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(&shown(text)),
        DeValue::Integer(integer) => shown(&integer.to_string()),
        DeValue::Float(float) => shown(&float.to_string()),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// What somebody wrote, as far as a fault repeats it.
pub fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS_MAX).filter(|c| !c.is_control()).collect();
    if text.chars().count() > SHOWN_CHARS_MAX { short + "…" } else { short }
}

/// In quotes, on one line.
pub fn quoted(text: &str) -> String {
    format!("{text:?}")
}
