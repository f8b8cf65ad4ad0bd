//! Every operation on every kernel variant that the device accepts, forward and gradient, against the f64 reference.

mod activation;
mod avg_pool2d;
mod axis_map;
mod batch_norm;
mod binary;
mod comparison;
mod concat;
mod conv2d;
mod conv3d;
mod conv_transpose;
mod convert;
mod cross_entropy;
mod dense;
mod dropout;
mod expand;
mod gather;
mod losses;
mod matmul;
mod max_pool2d;
mod max_unpool;
mod metrics;
mod normalization;
mod normalize;
mod optimizer;
mod pointwise;
mod pool;
mod product;
mod reduce;
mod softmax;
mod softmax_cross_entropy;
mod strided;
mod top_k;
mod unfold;

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

/// A tensor of small whole numbers, of which no plain kernel rounds a product or sum; others for each seed.
fn whole_numbers(shape: &[usize], seed: usize) -> Vec<f32> {
    let count = shape.iter().product::<usize>();
    (0..count).map(|index| ((index * 7 + seed * 5) * (index + seed) % 11) as f32 - 5.0).collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// What the device makes of a graph over inputs of whole numbers, each by its shape; they are returned as well.
fn computed(
    shapes: &[&[usize]],
    build: impl for<'g> Fn(&'g omma::Graph, &[omma::Tensor<'g>]) -> Vec<omma::Tensor<'g>>,
) -> Option<[Vec<Vec<f64>>; 2]> {
    let gpu = crate::gpu()?;
    let graph = omma::Graph::new(omma::Mode::Evaluation);
    let names: Vec<String> = (0..shapes.len()).map(|number| format!("input {number}")).collect();
    let data: Vec<Vec<f32>> = shapes.iter().enumerate().map(|(seed, shape)| whole_numbers(shape, seed)).collect();
    let inputs: Vec<_> = names.iter().zip(shapes).map(|(name, shape)| graph.input(name, *shape).unwrap()).collect();
    let outputs = build(&graph, &inputs);
    let mut session = omma::Session::new(gpu, &graph, &outputs, &omma::Variables::new(gpu, 1)).unwrap();
    let feeds: Vec<_> = names.iter().zip(&data).map(|(name, values)| (name.as_str(), values.into())).collect();
    session.run_blocking(&feeds).unwrap();
    let read = |tensor| session.read_blocking::<f32>(tensor).unwrap().iter().copied().collect::<Vec<f32>>();
    let results: Vec<Vec<f32>> = outputs.iter().map(|&tensor| read(tensor)).collect();
    let widened = |all: &[Vec<f32>]| all.iter().map(|values| widened(values)).collect();
    Some([widened(&data), widened(&results)])
}
