//! The model files of the command: safetensors whose metadata say which network they belong to.

use std::path::Path;

use omma::nn::{MODELS, Model};
use omma::train::{Classifier, Settings};
use omma::{Error, Gpu, Result, Variables};

/// Mean and deviation of the bundled digits' pixels, for a file that another program wrote and that does not say.
const DIGITS: (f32, f32) = (0.131, 0.3085);

/// The model of this name.
pub(crate) fn model(name: &str) -> Result<Model> {
    MODELS.iter().copied().find(|model| model.name == name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        let message = format!("unknown model `{name}`; there is {}", names.join(", "));
        Error::Argument { op: "--model".into(), message }
    })
}

/// Writes the classifier with what is needed to open it again.
pub(crate) fn save(classifier: &Classifier, settings: &Settings, path: &Path) -> Result<()> {
    let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
    let variables = classifier.variables();
    variables.set_metadata("model", settings.model.name);
    variables.set_metadata("channels", &settings.channels.to_string());
    variables.set_metadata("classes", &settings.classes.to_string());
    variables.set_metadata("mean", &numbers(&settings.mean));
    variables.set_metadata("deviation", &numbers(&settings.deviation));
    variables.save_blocking(path)
}

/// Opens a model file.
pub(crate) fn open(gpu: &Gpu, path: &Path) -> Result<(Classifier, Settings)> {
    let metadata = Variables::read_metadata(path)?;
    let field = |name: &str| metadata.get(name).map(String::as_str);
    let bad = |name: &str, text: &str| Error::data(path, format!("metadata `{name}` is `{text}`"));
    let number = |name: &str, otherwise: usize| match field(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().ok().filter(|&n| (1..=65_536).contains(&n)).ok_or_else(|| bad(name, text)),
    };
    let numbers = |name: &str, otherwise: f32, count: usize| match field(name) {
        None => Ok(vec![otherwise; count]),
        Some(text) => {
            let values: Option<Vec<f32>> = text.split(' ').map(|part| part.parse().ok()).collect();
            values.ok_or_else(|| bad(name, text))
        }
    };
    let channels = number("channels", 1)?;
    let settings = Settings {
        model: model(field("model").unwrap_or(MODELS[0].name)).map_err(|error| Error::data(path, error))?,
        channels,
        classes: number("classes", 10)?,
        mean: numbers("mean", DIGITS.0, channels)?,
        deviation: numbers("deviation", DIGITS.1, channels)?,
        seed: 0,
    };
    let classifier = Classifier::new(gpu, settings.clone())?;
    classifier.variables().load(path)?;
    Ok((classifier, settings))
}
