//! The model files of the command: safetensors whose metadata say which network they belong to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use omma::models::{MODELS, Model};
use omma::train::{Classifier, Settings};
use omma::{Error, Gpu, PlanOptions, Result, Variables};

/// Mean and deviation of the bundled digits' pixels, for a file that another program wrote and that does not say.
const DIGITS: (f32, f32) = (0.131, 0.3085);

/// The model of this name.
pub(crate) fn model(name: &str) -> Result<Model> {
    Model::named(name)
}

/// Writes the classifier with what is needed to open it again.
pub(crate) fn save(classifier: &Classifier, settings: &Settings, path: &Path) -> Result<()> {
    let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
    let variables = classifier.variables();
    variables.set_metadata("model", settings.model.name);
    variables.set_metadata("channels", &settings.channels.to_string());
    variables.set_metadata("height", &settings.image_size[0].to_string());
    variables.set_metadata("width", &settings.image_size[1].to_string());
    variables.set_metadata("classes", &settings.classes.to_string());
    variables.set_metadata("mean", &numbers(&settings.mean));
    variables.set_metadata("deviation", &numbers(&settings.deviation));
    variables.save_blocking(path)
}

/// A model file that fits the network it names.
#[derive(Debug)]
pub(crate) struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
    settings: Settings,
}

impl ModelFile {
    /// Reads and checks a model file, all of which can be done before a device is opened.
    ///
    /// # Errors
    /// When the file cannot be read, says of itself what cannot be, or lacks a tensor of its network.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let metadata = Variables::read_metadata(path)?;
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let settings = settings(&metadata).map_err(|error| Error::data(path, error))?;
        let layout = settings.layout().map_err(|error| Error::data(path, error))?;
        layout.check_safetensors(&bytes).map_err(|error| Error::data(path, error))?;
        Ok(Self { path: path.to_path_buf(), bytes, settings })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes the network to a device.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn open(&self, gpu: &Gpu, options: PlanOptions) -> Result<Classifier> {
        let classifier = Classifier::with_options(gpu, self.settings.clone(), options)?;
        classifier.variables().load_safetensors(&self.bytes).map_err(|error| Error::data(&self.path, error))?;
        Ok(classifier)
    }
}

/// What a model file says of itself.
fn settings(metadata: &HashMap<String, String>) -> Result<Settings, String> {
    let field = |name: &str| metadata.get(name).map(String::as_str);
    let bad = |name: &str, text: &str| format!("metadata `{name}` is `{text}`");
    let number = |name: &str, otherwise: usize| match field(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().ok().filter(|n| (1..=65_536).contains(n)).ok_or_else(|| bad(name, text)),
    };
    let numbers = |name: &str, otherwise: f32, count: usize| match field(name) {
        None => Ok(vec![otherwise; count]),
        Some(text) => {
            let values: Option<Vec<f32>> = text.split(' ').map(|part| part.parse().ok()).collect();
            values.ok_or_else(|| bad(name, text))
        }
    };
    let name = field("model").unwrap_or(MODELS[0].name);
    let channels = number("channels", 1)?;
    Ok(Settings {
        model: model(name).map_err(|_| bad("model", name))?,
        channels,
        image_size: [number("height", 28)?, number("width", 28)?],
        classes: number("classes", 10)?,
        mean: numbers("mean", DIGITS.0, channels)?,
        deviation: numbers("deviation", DIGITS.1, channels)?,
        seed: 0,
    })
}
