//! Parts of the demo service.
