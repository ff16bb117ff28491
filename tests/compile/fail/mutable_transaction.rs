use qdjobs::prelude::*;
use qdjobs::rusqlite::Transaction;

#[task("sync_user")]
fn sync_user(user: i64) {
    let _ = user;
}

fn save(tx: &mut Transaction<'_>) -> qdjobs::Result<()> {
    SyncUser::new(7).enqueue(tx)?;
    Ok(())
}

fn main() {}
