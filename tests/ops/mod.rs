//! Every operation on every kernel variant that the device accepts, forward and gradient, against the f64 reference.

mod avg_pool2d;
mod batch_norm;
mod binary;
mod concat;
mod conv2d;
mod dense;
mod dropout;
mod max_pool2d;
mod max_unpool;
mod metrics;
mod normalize;
mod optimizer;
mod pointwise;
mod pool;
mod reduce;
mod softmax;
mod softmax_cross_entropy;

/// Runs all cases of a family.
fn check(stem: &str) {
    let Some(gpu) = crate::gpu() else { return };
    let family = omma::FAMILIES.iter().find(|family| family.stem == stem);
    let family = family.unwrap_or_else(|| panic!("no row of FAMILIES is called {stem}"));
    let mut failures = Vec::new();
    let mut runs = 0;
    for case in (family.cases)() {
        if let Err(error) = case.check_gradient_rule() {
            failures.push(error.to_string());
        }
        for variant in case.variants(gpu).unwrap_or_else(|error| panic!("{}: {error}", case.name())) {
            runs += 1;
            match case.run_blocking(gpu, variant) {
                Ok(report) if report.passed() => {}
                Ok(report) => {
                    failures.push(format!(
                        "{} [{variant}] {:.3} of its bound: {}",
                        report.name, report.worst, report.place
                    ));
                }
                Err(error) => failures.push(format!("{} [{variant}] {error}", case.name())),
            }
        }
    }
    assert!(runs > 0, "{stem} has no cases");
    assert!(failures.is_empty(), "{} of {runs} failed:\n{}", failures.len(), failures.join("\n"));
}
