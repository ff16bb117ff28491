//! The task `process_image`: decodes an image, applies operations, and writes the result to the same
//! directory.
//!
//! Depends on `job_output` for the file. Does not use the queue. A path from a job opens only files in the
//! directory of the [`Album`]. The files beside it: `operation` (the texts of operations), `decode`, `filter`
//! (what an operation does), `encode` and `png_file`, and `colors` (color profiles).

mod colors;
mod decode;
mod encode;
mod filter;
mod operation;
mod png_file;

use std::path::{Component, Path, PathBuf};

use image::ImageFormat;
use qdjobs::TaskError;
use serde::{Deserialize, Serialize};

use crate::job_output::{Draft, Run, Step, file_error};
pub use operation::Operation;

/// Longest side of an input or an output, in pixels.
const SIDE_MAX: u32 = 16_384;

/// Largest number of pixels of an input or an output: half a gigabyte at 8 bytes each. Few cameras have more.
const PIXELS_MAX: u64 = 64_000_000;

/// Largest number of operations of one job.
const OPERATIONS_MAX: usize = 32;

/// The result of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Processed {
    /// Always true: if the image was not processed, the job has an error.
    pub processed: bool,
    /// The input file, as the caller wrote it.
    pub path: String,
    /// The output file.
    pub output: String,
    /// The width of the output.
    pub width: u32,
    /// The height of the output.
    pub height: u32,
    /// The size of the output file.
    pub bytes: u64,
}

/// The directory from which images are read and to which results are written.
#[derive(Clone, Debug)]
pub struct Album(PathBuf);

impl Album {
    /// The images in and below `folder`.
    pub fn new(folder: &Path) -> std::io::Result<Album> {
        folder.canonicalize().map(Album)
    }

    /// The path of the directory.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Applies `operations` in order to the image at `path` and writes the result to the same directory. The
    /// output is named after the job: `photo.png` becomes `photo.job-7.png`.
    pub fn process(
        &self,
        path: &str,
        operations: &[Operation],
        run: &Run,
        step: Step<'_>,
    ) -> Result<Processed, TaskError> {
        if operations.len() > OPERATIONS_MAX {
            return Err(TaskError::permanent(format!(
                "the job has {} operations, more than {OPERATIONS_MAX}; split them over several jobs",
                operations.len()
            )));
        }
        let found = self.find(path)?;
        let (mut picture, source) = decode::decode(&found, &shown(path))?;
        let steps = operations.len() + 1;
        let mut changed = false;
        for (done, operation) in operations.iter().enumerate() {
            step(done as f64 / steps as f64, &operation.to_string())?;
            changed |= operation.changes(picture.width(), picture.height());
            picture = filter::apply(picture, *operation)?;
        }
        step(operations.len() as f64 / steps as f64, "writing")?;
        let (width, height) = (picture.width(), picture.height());
        let mut bytes = encode::encode(picture, &source, operations.contains(&Operation::Optimize))?;
        // Every program rotates a JPEG file by its metadata, and few a PNG file.
        changed |= source.turned && source.format == ImageFormat::Png;
        if !changed && bytes.len() > source.file.len() {
            // The file was smaller than this service can make it.
            bytes = source.file;
        }
        let target = output_path(&found, source.format, run);
        Draft::new(&target, run)
            .write(&bytes)
            .map_err(|error| file_error(format!("cannot write {}", self.relative(&target)), &error))?;
        Ok(Processed {
            processed: true,
            path: path.to_owned(),
            output: self.relative(&target),
            width,
            height,
            bytes: bytes.len() as u64,
        })
    }

    /// The file at `path`, if it is in this directory. The text of the path is checked first, so that an
    /// error does not reveal which files exist outside. Then the resolved path is checked, for symbolic
    /// links.
    fn find(&self, path: &str) -> Result<PathBuf, TaskError> {
        let outside = || {
            TaskError::permanent(format!(
                "`{}` is outside of {}, the image directory of this service; use a path in that directory, or set \
                 QDJOBS_IMAGES to another one",
                shown(path),
                self.0.display()
            ))
        };
        let joined = self.0.join(path);
        let climbs = joined.components().any(|part| part == Component::ParentDir);
        if climbs || !joined.starts_with(&self.0) {
            return Err(outside());
        }
        let found = joined.canonicalize().map_err(|error| decode::unopened(&shown(path), &error))?;
        if found.starts_with(&self.0) { Ok(found) } else { Err(outside()) }
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.0).unwrap_or(path).display().to_string()
    }
}

/// A path in an error: a long one is cut.
fn shown(path: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    let start: String = path.chars().take(CHARACTERS_MAX).collect();
    let more = if start.len() < path.len() { "…" } else { "" };
    format!("{}{more}", start.escape_debug())
}

fn check_dimensions(width: u64, height: u64) -> Result<(), String> {
    if width.max(height) > u64::from(SIDE_MAX) {
        return Err(format!("longer than {SIDE_MAX} on a side"));
    }
    if width * height > PIXELS_MAX {
        return Err(format!("more than {} million", PIXELS_MAX / 1_000_000));
    }
    Ok(())
}

fn output_path(source: &Path, format: ImageFormat, run: &Run) -> PathBuf {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let ending = if format == ImageFormat::Jpeg { "jpg" } else { "png" };
    source.with_file_name(format!("{stem}.job-{}.{ending}", run.job))
}
