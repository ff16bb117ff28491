//! Executes the SQL of its standard input on a database file, and prints rows as the shell `sqlite3` does. Ends at
//! the first error.
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
    let mut sql = String::new();
    std::io::stdin().read_to_string(&mut sql)?;
    let mut statements = Batch::new(&db, &sql);
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
