//! The folder in which the command keeps what would take time to find out again: compiled kernels.

use std::ffi::OsString;
use std::path::PathBuf;

/// `OMMA_CACHE`, or `omma` in the user's own cache folder; none where the variable is empty, or nobody has a home.
pub(crate) fn folder() -> Option<PathBuf> {
    choose(|name| std::env::var_os(name))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(folder) = variable("OMMA_CACHE") {
        return (!folder.is_empty()).then(|| folder.into());
    }
    // A relative path would be another folder wherever the command is run.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME");
    let caches = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
    };
    caches.map(|folder| folder.join("omma"))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::choose;

    fn chosen(variables: &[(&str, &str)]) -> Option<PathBuf> {
        choose(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_variable_comes_first_and_an_empty_one_keeps_nothing() {
        let home = ("HOME", "/home/user");
        assert_eq!(chosen(&[("OMMA_CACHE", "here"), home]).as_deref(), Some(Path::new("here")));
        assert_eq!(chosen(&[("OMMA_CACHE", ""), home]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn without_it_the_users_own_folder_is_taken() {
        let home = ("HOME", "/home/user");
        assert_eq!(chosen(&[home]).as_deref(), Some(Path::new("/home/user/.cache/omma")));
        assert_eq!(chosen(&[home, ("XDG_CACHE_HOME", "/fast")]).as_deref(), Some(Path::new("/fast/omma")));
        assert_eq!(chosen(&[home, ("XDG_CACHE_HOME", "fast")]).as_deref(), Some(Path::new("/home/user/.cache/omma")));
        assert_eq!(chosen(&[("HOME", "")]), None);
    }
}
