//! The comments above declarations, by the path of the declaration in the descriptor.

use std::collections::HashMap;

use prost_types::FileDescriptorProto;

/// The comments of one file.
pub(crate) struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    pub(crate) fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations
            .filter_map(|location| Some((location.path.clone(), location.leading_comments.clone()?)));
        Self(comments.collect())
    }

    /// Returns the comment above the declaration at `path`, without the space after the slashes. Empty if it has none.
    pub(crate) fn at(&self, path: &[i32]) -> String {
        let text = self.0.get(path).map(String::as_str).unwrap_or_default();
        let lines = text.trim_end().lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
        lines.collect::<Vec<_>>().join("\n")
    }
}
