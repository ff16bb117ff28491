//! What a job carries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;

/// Size of the parameters as JSON.
const BYTES: usize = 100;

/// The parameters of every job: as JSON, 100 bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Params {
    /// When the job was handed to the queue, in nanoseconds of the monotonic clock; 0 for a job that is
    /// not timed.
    pub at: u64,
    /// The rest of the bytes.
    pub filler: String,
}

impl Params {
    /// The params of a job that is not timed.
    pub fn untimed() -> Params {
        Params::of(0)
    }

    /// The params of a job that is timed from now until its handler.
    pub fn timed() -> Params {
        Params::of(clock::now().as_nanos() as u64)
    }

    fn of(at: u64) -> Params {
        let bare = r#"{"at":,"filler":""}"#.len() + at.to_string().len();
        Params { at, filler: "x".repeat(BYTES - bare) }
    }

    /// As JSON text, for a queue that takes text.
    pub fn text(&self) -> String {
        format!(r#"{{"at":{},"filler":"{}"}}"#, self.at, self.filler)
    }

    /// How long ago it was handed to the queue, if it is timed.
    pub(crate) fn age(&self) -> Option<Duration> {
        (self.at > 0).then(|| clock::now().saturating_sub(Duration::from_nanos(self.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_of_one_size() {
        for params in [Params::untimed(), Params::timed()] {
            assert_eq!(params.text().len(), BYTES);
            assert_eq!(params.text(), serde_json::to_string(&params).unwrap());
        }
    }
}
