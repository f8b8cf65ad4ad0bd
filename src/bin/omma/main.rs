//! The `omma` command: what the library does, from a shell.

mod bench;
mod cache;
mod conformance;
mod devices;
mod digit_image;
mod export;
mod inspect;
mod kernels;
mod memory;
mod model_file;
mod npy;
mod output;
mod picture;
mod pictures;
mod predict;
mod profile;
mod run;
mod selftest;
mod size;
mod starting;
mod train;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Once;

use clap::{Args, Parser, Subcommand};
use omma::{Cooperative, DeviceClass, Error, FAMILIES, Gpu, GpuOptions, PlanOptions, wgpu};

/// Convolutional networks that train and infer on any GPU.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the adapters and say which one would be used, and why
    Devices(devices::Devices),
    /// Train a classifier on an IDX data set and draw pictures of how it went
    Train(train::Train),
    /// Say what is on pictures, with a trained model
    Predict(predict::Predict),
    /// Run every kernel variant of this adapter against the f64 reference
    Selftest(selftest::Selftest),
    /// Write the WGSL of every kernel of this adapter: to read it, or to show it to another compiler
    Kernels(kernels::Kernels),
    /// List every network, with its size and what it costs to run
    Models(inspect::Models),
    /// Show a network's layers: shapes, parameters, multiply-adds, memory, how far each sees
    Inspect(inspect::Inspect),
    /// Run an ONNX model on arrays or pictures
    Run(run::Run),
    /// Run ONNX's backend tests, or others in their layout
    Conformance(conformance::Conformance),
    /// Write a network with its weights as an ONNX file
    Export(export::Export),
    /// Measure how fast kernels, operations and networks are on this adapter, against its own ceilings
    Bench(bench::Bench),
    /// Show where the time of a network's step goes, dispatch by dispatch
    Profile(profile::Profile),
}

/// Which adapter to compute on.
#[derive(Debug, Args)]
struct Device {
    /// Take the adapter whose name contains NAME [also: OMMA_ADAPTER; back ends: OMMA_BACKEND=vulkan,metal,dx12,gl]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Open the device with cooperative matrices (tensor cores), which wgpu calls experimental; kernels of half precision
    /// use them once they have been checked
    #[arg(long)]
    cooperative: bool,
}

impl Device {
    fn options(&self) -> GpuOptions {
        let (adapter, pipeline_cache, cooperative) = (self.adapter.clone(), cache::folder(), self.cooperative);
        GpuOptions { adapter, pipeline_cache, cooperative, ..GpuOptions::default() }
    }

    fn open(&self) -> omma::Result<Gpu> {
        let gpu = Gpu::new_blocking(&self.options())?;
        if self.cooperative && gpu.capabilities().cooperative == Cooperative::Absent {
            // A command may open several.
            static SAID: Once = Once::new();
            let what = "this adapter has no cooperative matrices of the kind that kernels use";
            SAID.call_once(|| output::remark(format_args!("warning: --cooperative: {what}")));
        }
        starting::show(&gpu);
        Ok(gpu)
    }
}

/// Which kernels to compute with, and in how much memory.
#[derive(Debug, Args)]
struct Kernels {
    /// Do without kernels that fail the self-test here: a variant's name, or one of one kernel as `conv2d.forward[tiled]`
    #[arg(long, value_name = "VARIANT")]
    exclude: Vec<String>,
    /// Time the kernels on this network's shapes, once, and take the fastest of each
    #[arg(long)]
    tune: bool,
    /// Keep what a step allocates beside its variables within SIZE, as 512MiB or 2GiB: cheap results are computed again
    /// instead of being kept
    #[arg(long, value_name = "SIZE", value_parser = memory::size, allow_negative_numbers = true)]
    memory: Option<u64>,
    /// Round what convolutions and dense layers multiply to half precision, where a kernel of a GPU gains from it
    #[arg(long)]
    half: bool,
}

/// What [`PlanOptions::exclude`] knows beside kernel variants.
const SWITCHES: [&str; 3] = ["in_place", "overlap", "textures"];

impl Kernels {
    /// Says what of the options changes nothing on this device.
    fn check(&self, gpu: &Gpu) {
        let capabilities = gpu.capabilities();
        let widens = capabilities.downlevel.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32);
        if self.half && (capabilities.class == DeviceClass::Cpu || !widens) {
            output::remark("warning: --half: no kernel gains from half precision on this adapter, and none uses it");
        }
        if !self.exclude.is_empty() {
            self.check_names(gpu);
        }
    }

    /// Says which names to exclude no kernel has: a mistyped one would change nothing.
    fn check_names(&self, gpu: &Gpu) {
        let mut known: BTreeSet<String> = SWITCHES.map(String::from).into();
        let mut labels = BTreeSet::new();
        let options = PlanOptions::default().half_precision();
        for case in FAMILIES.iter().flat_map(|family| (family.cases)()) {
            // What cannot be planned has no kernels.
            let Ok(plan) = case.plan_for(gpu.capabilities(), &options) else { continue };
            for choice in plan.choices() {
                for candidate in &choice.candidates {
                    known.insert(candidate.name.into());
                    labels.insert(format!("{}[{}]", choice.kernel, candidate.name));
                }
            }
        }
        for name in self.exclude.iter().filter(|name| !known.contains(*name) && !labels.contains(*name)) {
            let names = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let hint = "any of them may be of one kernel, as `conv2d.forward[tiled]`";
            output::remark(format_args!(
                "warning: --exclude: nothing is called `{name}`; there are {names}, and {hint}"
            ));
        }
    }

    fn options(&self) -> PlanOptions {
        let options = self.exclude.iter().fold(PlanOptions::default(), PlanOptions::exclude);
        let options = self.memory.into_iter().fold(options, PlanOptions::memory_budget);
        let options = if self.half { options.half_precision() } else { options };
        self.tuned(options)
    }

    /// The options, tuned where the user asks for it.
    fn tuned(&self, options: PlanOptions) -> PlanOptions {
        match self.tune {
            true => options.tune(cache::folder().map(|folder| folder.join("tuning.json"))),
            false => options,
        }
    }
}

/// What is wrong with an option or an argument.
fn argument(option: &str, message: impl Display) -> Error {
    Error::Argument { op: option.into(), message: message.to_string() }
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    prepare_environment();
    // The drivers' own remarks are of no use to the user of this command; RUST_LOG shows them.
    let quiet = "warn,wgpu_hal=error,wgpu_core=error,naga=error";
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(quiet)).format_timestamp(None).init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if error.use_stderr()
                && error.kind() != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            // One line says what is wrong; clap's further lines repeat the usage.
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
            output::remark(lines.collect::<Vec<_>>().join(" "));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let result = match cli.command {
        Command::Devices(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Selftest(command) => command.run(),
        Command::Kernels(command) => command.run(),
        Command::Models(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Conformance(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Profile(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::remark(format_args!("error: {}", output::one_line(memory::explained(error))));
            ExitCode::FAILURE
        }
    }
}

/// Starts this process anew with what Mesa's drivers should find in the environment, unless the user has set it; a process
/// cannot safely change its own.
///
/// - The device-select layer looks for a Wayland session, and where there is none (a server, a container) it writes an
///   "error" of its own for every adapter. Omma ranks adapters itself and needs no such layer.
/// - lavapipe deals a dispatch out to its threads in equal shares and waits for the last. With two threads a core, one that
///   is held up holds up less.
#[cfg(target_os = "linux")]
fn prepare_environment() {
    use std::os::unix::process::CommandExt;
    let missing = |name: &str| std::env::var_os(name).is_none();
    let mut wanted: Vec<(&str, String)> = Vec::new();
    if missing("XDG_RUNTIME_DIR") && missing("NODEVICE_SELECT") {
        wanted.push(("NODEVICE_SELECT", "1".into()));
    }
    if let (true, Ok(cores)) = (missing("LP_NUM_THREADS"), std::thread::available_parallelism()) {
        wanted.push(("LP_NUM_THREADS", (2 * cores.get()).min(MOST_THREADS).to_string()));
    }
    let (false, Ok(program)) = (wanted.is_empty(), std::env::current_exe()) else { return };
    // It comes back only if it failed; then the remarks, or the waiting, are all that is wrong.
    let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).envs(wanted).exec();
}

/// More threads than this no version of lavapipe takes.
#[cfg(target_os = "linux")]
const MOST_THREADS: usize = 16;
