//! `omma predict`: what is on pictures.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ndarray::{Axis, Ix2};
use omma::train::Job;
use omma::{Error, Result};
use serde_json::json;

use crate::digit_image::load_digit;
use crate::model_file::ModelFile;
use crate::output::{Output, remark};
use crate::{Device, Kernels, memory};

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// The model.safetensors that `omma train` wrote
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// PNG or JPEG pictures of any size, dark on light or light on dark
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// How many classes to print for each picture
    #[arg(long, default_value_t = 3, allow_negative_numbers = true)]
    top: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kernels: Kernels,
    #[command(flatten)]
    device: Device,
}

impl Predict {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        // A wrong path or a file that does not fit should not cost the opening of a device.
        let model = ModelFile::read(&self.model);
        let [height, width] = model.as_ref().map_or([28, 28], |model| model.settings().image_size);
        let digits = self.images.iter().map(|path| load_digit(path, height, width)).collect::<Result<Vec<_>>>()?;
        let model = model?;
        let channels = model.settings().channels;
        if channels != 1 {
            let message = format!("it reads pictures of {channels} channels, and this command makes grey ones");
            return Err(Error::data(&self.model, message));
        }
        let gpu = self.device.open()?;
        self.kernels.check(&gpu);
        let (settings, job) = (model.settings(), Job::Predict);
        let options = settings.resolved(1, job, &gpu, &self.kernels.options())?;
        if self.kernels.memory.is_some() {
            let (plan, variables) = settings.plan(1, job, gpu.capabilities(), &options)?;
            remark(format_args!("planned for a picture: {}", memory::parts(&plan.memory())));
            remark(format_args!("planned for variables: {}", memory::mebibytes(variables.bytes())));
        }
        let mut classifier = model.open(&gpu, options)?;
        let mut out = Output::default();
        for (path, digit) in self.images.iter().zip(digits) {
            let image = digit.view().insert_axis(Axis(0)).insert_axis(Axis(0));
            let probabilities = classifier.predict_blocking(image)?;
            let row = probabilities.into_dimensionality::<Ix2>().map(|p| p.row(0).to_vec()).unwrap_or_default();
            if row.iter().any(|probability| !probability.is_finite()) {
                let message =
                    format!("it finds no probabilities for {}: it holds NaN or values too large", path.display());
                return Err(Error::data(&self.model, message));
            }
            let mut classes: Vec<(usize, f32)> = row.into_iter().enumerate().collect();
            classes.sort_by(|a, b| b.1.total_cmp(&a.1));
            classes.truncate(self.top);
            if self.json {
                let top: Vec<_> =
                    classes.iter().map(|(c, p)| json!({ "class": c.to_string(), "probability": p })).collect();
                // JSON is text, and a path need not be.
                let image = path.to_string_lossy();
                out.line(json!({ "image": image, "classes": top }));
            } else {
                let top: Vec<String> = classes.iter().map(|(c, p)| format!("{c} {:.1} %", p * 100.0)).collect();
                out.line(format_args!("{}: {}", path.display(), top.join(", ")));
            }
            if out.is_closed() {
                break;
            }
        }
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}
