//! The `omma` command: what the library does, from a shell.

mod devices;
mod digit_image;
mod model_file;
mod output;
mod pictures;
mod predict;
mod selftest;
mod train;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use omma::{Gpu, GpuOptions, PlanOptions};

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
}

/// Which adapter to compute on.
#[derive(Debug, Args)]
struct Device {
    /// Take the adapter whose name contains NAME [also: OMMA_ADAPTER; back ends: OMMA_BACKEND=vulkan,metal,dx12,gl]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
}

impl Device {
    fn options(&self) -> GpuOptions {
        GpuOptions { adapter: self.adapter.clone(), ..GpuOptions::default() }
    }

    fn open(&self) -> omma::Result<Gpu> {
        Gpu::new_blocking(&self.options())
    }
}

/// Which kernels to compute with.
#[derive(Debug, Args)]
struct Kernels {
    /// Do without kernels that fail the self-test here: a variant's name, or one of one kernel as `conv2d.forward[tiled]`
    #[arg(long, value_name = "VARIANT")]
    exclude: Vec<String>,
}

impl Kernels {
    fn options(&self) -> PlanOptions {
        self.exclude.iter().fold(PlanOptions::default(), PlanOptions::exclude)
    }
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    without_device_select();
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
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::remark(format_args!("error: {}", output::one_line(error)));
            ExitCode::FAILURE
        }
    }
}

/// Mesa's device-select layer looks for a Wayland session, and where there is none (a server, a container) it writes an
/// "error" of its own for every adapter. Omma ranks adapters itself and needs no such layer: without a session this
/// process starts anew with the layer switched off. A process cannot safely change its own environment.
#[cfg(target_os = "linux")]
fn without_device_select() {
    use std::os::unix::process::CommandExt;
    const OFF: &str = "NODEVICE_SELECT";
    if std::env::var_os("XDG_RUNTIME_DIR").is_some() || std::env::var_os(OFF).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    // It comes back only if it failed; then the remarks are all that is wrong.
    let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(OFF, "1").exec();
}
