//! Executes the SQL of its standard input on a database file, and prints rows as the shell `sqlite3` does. Ends at
//! the first error. With the argument `.dump`, it prints the statements that make the file again.
//!
//! `tests/tests/api/old_sqlite.rs` runs it as a program of another language that has an old SQLite.

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("the first argument is the database file")?;
    let db = Connection::open(file)?;
    db.busy_timeout(Duration::from_secs(60))?;
    match std::env::args().nth(2).as_deref() {
        Some(".dump") => dump(&db),
        Some(other) => Err(format!("`{other}` is not `.dump`").into()),
        None => execute(&db),
    }
}

/// The tables, their rows, then what would change or slow down the inserts: as the shell writes them.
fn dump(db: &Connection) -> Result<(), Box<dyn Error>> {
    // All reads see one moment.
    db.execute_batch("BEGIN")?;
    println!("PRAGMA foreign_keys = OFF;\nBEGIN TRANSACTION;");
    let schema = |condition: &str| -> rusqlite::Result<Vec<(String, String)>> {
        let schema = format!("SELECT name, sql FROM sqlite_schema WHERE {condition} ORDER BY rowid");
        db.prepare(&schema)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    for (table, sql) in schema("type = 'table' AND name NOT LIKE 'sqlite_%'")? {
        println!("{sql};");
        dump_rows(db, &table)?;
    }
    // SQLite creates this table itself. It has the highest ids that were given.
    println!("DELETE FROM sqlite_sequence;");
    dump_rows(db, "sqlite_sequence")?;
    for (_, sql) in schema("type <> 'table' AND sql IS NOT NULL")? {
        println!("{sql};");
    }
    println!("COMMIT;");
    Ok(())
}

/// Prints one INSERT for each row of a table.
fn dump_rows(db: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut columns = db.prepare("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info(?1)")?;
    let columns: Vec<String> = columns.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut rows = db.prepare(&format!("SELECT {} FROM \"{table}\"", columns.join(" || ',' || ")))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        println!("INSERT INTO \"{table}\" VALUES ({});", row.get::<_, String>(0)?);
    }
    Ok(())
}

fn execute(db: &Connection) -> Result<(), Box<dyn Error>> {
    let mut sql = String::new();
    std::io::stdin().read_to_string(&mut sql)?;
    let mut statements = Batch::new(db, &sql);
    while let Some(mut statement) = statements.next()? {
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut texts = Vec::new();
            for column in 0..columns {
                texts.push(match row.get_ref(column)? {
                    ValueRef::Null => String::new(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
                });
            }
            println!("{}", texts.join("|"));
        }
    }
    Ok(())
}
