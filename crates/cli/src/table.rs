//! Columns for people: no lines between them, nothing cut off, and no notice taken of the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// On which side of its column a cell stands: texts on the left, numbers on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// As wide as what is in them, two spaces apart; a line for each row.
pub fn columns<const N: usize>(sides: [Side; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    lines(&sides, rows.into_iter().map(Vec::from))
}

/// The same, of columns that are counted at run time.
pub fn lines(sides: &[Side], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows);
    if table.is_empty() {
        return String::new();
    }
    for (column, side) in table.column_iter_mut().zip(sides) {
        column.set_padding((0, 2));
        column.set_cell_alignment(match side {
            Side::Left => CellAlignment::Left,
            Side::Right => CellAlignment::Right,
        });
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::Side::{Left, Right};
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        assert_eq!(
            columns(
                [Left, Right, Left],
                [row(["NAME", "N", "WHY"]), row(["é", "1000", "  because "]), row(["", "7", ""]),]
            ),
            "NAME     N  WHY\né     1000    because\n         7\n"
        );
        assert_eq!(columns([Left], []), "");
        let long = "x ".repeat(500);
        assert_eq!(columns([Left], [[long.clone()]]), format!("{}\n", long.trim_end()));
    }
}
