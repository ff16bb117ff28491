//! What a worker says of its tasks when it starts.

/// Prints the tasks that are linked, and the error that a worker would refuse to start with.
pub fn say() {
    let registry = qdjobs::Registry::linked();
    let names: Vec<&str> = registry.iter().map(|task| task.name).collect();
    println!("tasks: {}", names.join(", "));
    match registry.check() {
        Ok(()) => println!("fine"),
        Err(error) => println!("{error}"),
    }
}
