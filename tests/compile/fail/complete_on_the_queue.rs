use qdjobs::prelude::*;

#[task("sync_all")]
fn sync_all(ctx: &JobContext) -> Result<(), TaskError> {
    ctx.complete_in(ctx.queue(), &());
    Ok(())
}

fn main() {}
