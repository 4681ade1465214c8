//! Answers of the daemon as text.

use serde_json::Value;

/// One value, for people.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        Value::Array(values) if values.is_empty() => "-".into(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Number(number) if number.is_f64() => {
            format!("{:.2}", number.as_f64().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

/// A line each for the objects of a list, under the names of these fields. Numbers stand to the right.
pub(super) fn table(list: &Value, columns: &[&str]) -> Vec<String> {
    let rows: Vec<&Value> = list.as_array().into_iter().flatten().collect();
    let mut lines = vec![String::new(); rows.len() + 1];
    for column in columns {
        let title = column.replace('_', " ");
        let cells: Vec<String> = rows.iter().map(|row| text(&row[column])).collect();
        let width = |text: &String| text.chars().count();
        let widest = cells.iter().chain([&title]).map(width).max().unwrap_or(0);
        let is_number = rows.iter().any(|row| row[column].is_number());
        for (line, cell) in lines.iter_mut().zip([title].iter().chain(&cells)) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&match is_number {
                true => format!("{cell:>widest$}"),
                false => format!("{cell:<widest$}"),
            });
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_under_their_names() {
        let list = json!([
            { "room": "Küche", "rssi_dbm": -7, "etx": 1.0, "through": ["0x0001", "0x0002"] },
            { "room": "Hall", "rssi_dbm": -101, "etx": 1.125, "through": [], "other": 1 },
            { "room": null, "rssi_dbm": null, "through": ["0x0001"] },
        ]);
        let lines = table(&list, &["room", "rssi_dbm", "etx", "through"]);
        assert_eq!(
            lines,
            [
                "room   rssi dbm   etx  through",
                "Küche        -7  1.00  0x0001 0x0002",
                "Hall       -101  1.12  -",
                "-             -     -  0x0001",
            ]
        );
        assert_eq!(table(&json!([]), &["room", "kind"]), ["room  kind"]);
    }
}
