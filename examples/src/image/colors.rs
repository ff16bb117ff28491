//! [`Colors`], what the values of the pixels mean: the color profile of a file and the chunks of PNG that say
//! the same.
//!
//! An output without them would be shown in other colors than its input. Nothing is converted: the output has
//! the profile of the input. Depends on the png crate for the types of the chunks.

use png::{CodingIndependentCodePoints, ScaledFloat, SourceChromaticities, SrgbRenderingIntent};

/// The place of the color space in the header of an ICC profile.
const SPACE: std::ops::Range<usize> = 16..20;

/// The meaning of the pixels of a file. The default is sRGB, as for every image that does not state it.
#[derive(Clone, Debug, Default)]
pub(super) struct Colors {
    /// The ICC profile.
    pub(super) profile: Option<Vec<u8>>,
    /// The chunk `sRGB`.
    pub(super) srgb: Option<SrgbRenderingIntent>,
    /// The chunk `gAMA`.
    pub(super) gamma: Option<ScaledFloat>,
    /// The chunk `cHRM`.
    pub(super) chromaticities: Option<SourceChromaticities>,
    /// The chunk `cICP`.
    pub(super) code_points: Option<CodingIndependentCodePoints>,
}

impl Colors {
    /// Those of a JPEG file.
    pub(super) fn of_jpeg(profile: Option<Vec<u8>>) -> Colors {
        Colors { profile, ..Colors::default() }
    }

    /// Those of a PNG file.
    pub(super) fn of_png(info: &png::Info<'_>) -> Colors {
        Colors {
            profile: info.icc_profile.as_deref().map(<[u8]>::to_vec),
            srgb: info.srgb,
            gamma: info.gama_chunk,
            chromaticities: info.chrm_chunk,
            code_points: info.coding_independent_code_points,
        }
    }

    /// Whether the profile is one for colors, so that an image in gray must be written as colors to keep it.
    pub(super) fn are_rgb(&self) -> bool {
        self.space() == Some(b"RGB ")
    }

    /// Whether the profile is one for the four inks of printing.
    pub(super) fn are_cmyk(&self) -> bool {
        self.space() == Some(b"CMYK")
    }

    /// The profile, if it applies to pixels with or without color. A profile of the other kind is invalid.
    pub(super) fn profile_for(&self, with_color: bool) -> Option<&[u8]> {
        let space: &[u8] = if with_color { b"RGB " } else { b"GRAY" };
        self.profile.as_deref().filter(|_| self.space() == Some(space))
    }

    fn space(&self) -> Option<&[u8]> {
        self.profile.as_deref().and_then(|profile| profile.get(SPACE))
    }
}
