//! Aliases: other paths under which clients may call a method, for example those of an earlier contract.

use std::sync::Arc;

/// Pairs of an alias and the path of the method. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases(Arc<[(&'static str, &'static str)]>);

impl Aliases {
    pub(super) fn new(aliases: &[(&'static str, &'static str)]) -> Self {
        Self(aliases.into())
    }

    /// Returns the path of the method for an alias, and `None` for any other path.
    pub(super) fn current_path(&self, path: &str) -> Option<&'static str> {
        self.0.iter().find(|(alias, _)| *alias == path).map(|(_, current)| *current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_another_name_to_the_letter() {
        let aliases = Aliases::new(&[("/Old/Start", "/new.v1.New/Start")]);
        assert_eq!(aliases.current_path("/Old/Start"), Some("/new.v1.New/Start"));
        for path in ["/new.v1.New/Start", "/Old/Stop", "/old/Start", "/Old/Start/", ""] {
            assert_eq!(aliases.current_path(path), None, "{path}");
        }
    }
}
