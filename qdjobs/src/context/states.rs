//! The shared values that tasks take with `#[state]`: [`States`], at most one value of each type.
//!
//! How a task names such a parameter is in `task/state.rs`. That all of them are present is checked in
//! `worker/start.rs`.
//!
//! Depends on std alone. Nothing is added once the worker has started.

use std::any::{Any, TypeId};
use std::collections::HashMap;

/// The shared values of a worker, by their type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    /// Adds `value`; returns `false` if it replaces another value of the same type.
    pub(crate) fn put<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Box::new(value)).is_none()
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
    }

    pub(crate) fn has(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} shared values", self.0.len())
    }
}
