//! What shape rules refuse, and in which words.

use omma::{
    BatchNorm, Conv1d, Conv2d, Conv3d, DepthOrder, Graph, Mode, Optimizer, PadMode, Pool2d, Resize, Result, Slice,
    Tensor,
};

/// Builds something wrong on a fresh training graph and returns the error's text.
fn refused(build: impl for<'g> FnOnce(&'g Graph) -> Result<Tensor<'g>>) -> String {
    let graph = Graph::new(Mode::Training);
    match build(&graph) {
        Ok(tensor) => panic!("accepted: {tensor:?}"),
        Err(error) => error.to_string(),
    }
}

/// One row a rule: what was asked for, and the whole error, which names operation, layer, expectation and fact.
macro_rules! refusals {
    ($($name:ident: |$graph:ident| $build:expr => $message:expr;)*) => { $(
        #[test]
        fn $name() {
            assert_eq!(refused(|$graph| $build), $message);
        }
    )* };
}

refusals! {
    conv2d_wants_images: |g| g.input("x", [2, 3])?.conv2d("c1", Conv2d::new(4, 3))
        => "conv2d `c1`: expected an f32 tensor of rank 4 [N, C, H, W], got f32[2, 3]";
    conv2d_wants_floats: |g| g.image_input("x", [2, 3, 4, 4])?.conv2d("c1", Conv2d::new(4, 3))
        => "conv2d `c1`: expected an f32 tensor of rank 4 [N, C, H, W], got u8[2, 3, 4, 4]";
    conv2d_kernel_must_fit: |g| g.input("x", [2, 3, 4, 9])?.conv2d("c1", Conv2d::new(4, 7).padding([1, 0]))
        => "conv2d `c1`: expected at least 7 along axis 2 with a padding of 1 and 1, got f32[2, 3, 4, 9]";
    conv2d_groups_divide: |g| g.input("x", [2, 3, 4, 4])?.conv2d("c1", Conv2d::new(4, 3).groups(2))
        => "conv2d `c1`: 2 groups do not divide 3 and 4 channels";
    conv2d_has_groups: |g| g.input("x", [2, 3, 4, 4])?.conv2d("c1", Conv2d::new(4, 3).groups(0))
        => "conv2d `c1`: 0 groups do not divide 3 and 4 channels";
    conv2d_strides: |g| g.input("x", [2, 3, 4, 4])?.conv2d("c1", Conv2d::new(4, 3).stride(0))
        => "conv2d `c1`: stride, dilation and groups must be at least 1";
    conv2d_kernel_is_not_empty: |g| g.input("x", [2, 3, 4, 4])?.conv2d("c1", Conv2d::new(4, 0))
        => "`c1.weight`: expected every axis to be at least 1, got [4, 3, 0, 0]";
    conv2d_weight_fits: |g| g.input("x", [2, 3, 4, 4])?.conv2d_with(g.input("w", [4, 2, 1, 1])?, None, Conv2d::new(4, 1))
        => "conv2d: expected a weight [O, 3/1, KH, KW] with O divisible by 1, got f32[4, 2, 1, 1]";
    conv2d_bias_fits: |g| {
        let bias = g.input("b", 3)?;
        g.input("x", [2, 3, 4, 4])?.conv2d_with(g.input("w", [4, 3, 1, 1])?, Some(bias), Conv2d::new(4, 1))
    } => "conv2d: expected a bias f32[4], got f32[3]";
    conv2d_mirrors_what_is_there: |g| {
        g.input("x", [2, 3, 4, 9])?.conv2d("c1", Conv2d::new(4, 3).padding(4).padding_mode(PadMode::Reflect))
    } => "pad `c1`: Reflect by at most 3, got [4, 4] at axis 2 of f32[2, 3, 4, 9]";
    conv2d_wraps_once: |g| {
        g.input("x", [2, 3, 4, 9])?.conv2d("c1", Conv2d::new(4, 3).padding([5, 0]).padding_mode(PadMode::Wrap))
    } => "pad `c1`: Wrap by at most 4, got [5, 5] at axis 2 of f32[2, 3, 4, 9]";
    conv2d_padding_is_finite: |g| {
        g.input("x", [2, 3, 4, 9])?.conv2d("c1", Conv2d::new(4, 3).padding(usize::MAX).padding_mode(PadMode::Edge))
    } => "pad `c1`: Edge by at most 281474976710656, got [9223372036854775807, 9223372036854775807] at axis 2 of f32[2, 3, 4, 9]";
    conv_transpose_has_no_padding_mode: |g| {
        g.input("x", [2, 3, 4, 4])?.conv_transpose2d("c1", Conv2d::new(4, 3).padding(1).padding_mode(PadMode::Reflect))
    } => "conv_transpose2d `c1`: only a convolution that is not transposed has a padding mode";
    conv2d_has_no_output_padding: |g| g.input("x", [2, 3, 4, 4])?.conv2d("c1", Conv2d::new(4, 3).stride(2).output_padding(1))
        => "conv2d `c1`: only a transposed convolution has an output padding";
    conv1d_wants_sequences: |g| g.input("x", [2, 3, 4, 4])?.conv1d("c1", Conv1d::new(4, 3))
        => "conv1d `c1`: expected an f32 tensor of rank 3 [N, C, L], got f32[2, 3, 4, 4]";
    conv1d_weight_fits: |g| g.input("x", [2, 3, 9])?.conv1d_with(g.input("w", [4, 3, 1, 1])?, None, Conv1d::new(4, 1))
        => "conv1d: expected a weight [O, 3/1, K] with O divisible by 1, got f32[4, 3, 1, 1]";
    conv3d_wants_volumes: |g| g.input("x", [2, 3, 4, 4])?.conv3d("c1", Conv3d::new(4, 3))
        => "conv3d `c1`: expected an f32 tensor of rank 5 [N, C, D, H, W], got f32[2, 3, 4, 4]";
    conv3d_kernel_must_fit: |g| g.input("x", [2, 3, 2, 4, 4])?.conv3d("c1", Conv3d::new(4, 3))
        => "conv3d `c1`: expected at least 3 along axis 2 with a padding of 0 and 0, got f32[2, 3, 2, 4, 4]";
    conv3d_bias_fits: |g| {
        let bias = g.input("b", 3)?;
        g.input("x", [2, 3, 4, 4, 4])?.conv3d_with(g.input("w", [4, 3, 2, 2, 2])?, Some(bias), Conv3d::new(4, 2))
    } => "conv3d: expected a bias f32[4], got f32[3]";
    conv3d_padding_has_an_end: |g| g.input("x", [1, 1, 4, 4, 4])?.conv3d("c1", Conv3d::new(1, 2).padding(usize::MAX))
        => format!("unfold `c1`: expected at most 2^48 bytes, got [{0}, 2, 4, 4]", usize::MAX - 1);
    conv_transpose_weight_fits: |g| {
        let weight = g.input("w", [4, 2, 3, 3])?;
        g.input("x", [2, 3, 4, 4])?.conv_transpose2d_with(weight, None, Conv2d::new(4, 3))
    } => "conv_transpose2d: expected a weight [3, O/1, KH, KW] with 3 divisible by 1, got f32[4, 2, 3, 3]";
    conv_transpose_output_padding_is_small: |g| {
        g.input("x", [2, 3, 4, 4])?.conv_transpose2d("up", Conv2d::new(4, 3).stride([3, 2]).output_padding(2))
    } => "conv_transpose2d `up`: output padding [2, 2] must be smaller than stride [3, 2]";
    conv_transpose_leaves_something: |g| {
        g.input("x", [2, 3, 4, 1])?.conv_transpose2d("up", Conv2d::new(4, 3).padding([1, 2]))
    } => "conv_transpose2d `up`: expected an output of more than 4 along axis 3 before that padding, got 3";
    conv_transpose_groups_divide: |g| g.input("x", [2, 3, 4, 4])?.conv_transpose2d("up", Conv2d::new(4, 3).groups(2))
        => "conv_transpose2d `up`: 2 groups do not divide 3 and 4 channels";
    conv_transpose_has_an_end: |g| g.input("x", [1, 1, 4, 4])?.conv_transpose2d("up", Conv2d::new(1, 3).dilation(usize::MAX))
        => format!("conv_transpose2d `up`: expected at most 2^48 bytes, got [1, 1, {0}, {0}]", usize::MAX);
    matmul_wants_floats: |g| g.input("x", [2, 3])?.matmul(g.label_input("l", 3)?)
        => "matmul: expected two f32 tensors of 1 axes or more, got f32[2, 3] and u32[3]";
    matmul_wants_axes: |g| g.input("x", [2, 3])?.matmul_nt(g.input("y", 3)?)
        => "matmul_nt: expected two f32 tensors of 2 axes or more, got f32[2, 3] and f32[3]";
    matmul_has_one_inner_size: |g| g.input("x", [2, 3])?.matmul(g.input("y", [2, 3])?)
        => "matmul: expected one inner size, got f32[2, 3] and f32[2, 3]";
    matmul_batches_broadcast: |g| g.input("x", [2, 4, 3])?.matmul_tn(g.input("y", [3, 4, 5])?)
        => "matmul_tn: expected batches that are equal or 1, got f32[2, 4, 3] and f32[3, 4, 5]";
    dense_wants_rows: |g| g.input("x", [2, 3, 4, 4])?.dense("fc", 5)
        => "dense `fc`: expected an f32 tensor of rank 2 [N, inputs], got f32[2, 3, 4, 4]";
    dense_has_outputs: |g| g.input("x", [2, 3])?.dense("fc", 0)
        => "`fc.weight`: expected every axis to be at least 1, got [0, 3]";
    dense_weight_fits: |g| g.input("x", [2, 3])?.dense_with(g.input("w", [5, 4])?, None)
        => "dense: expected a weight [outputs, 3], got f32[5, 4]";
    max_pool_wants_images: |g| g.input("x", [2, 3])?.max_pool2d(2)
        => "max_pool2d: expected an f32 tensor of rank 4 [N, C, H, W], got f32[2, 3]";
    max_pool_window_fits: |g| g.input("x", [2, 3, 4, 4])?.max_pool2d(5)
        => "max_pool2d: expected an extent of at least 5 with padding on axis 2, got f32[2, 3, 4, 4]";
    max_pool_padding_is_small: |g| g.input("x", [2, 3, 4, 4])?.max_pool2d(Pool2d::new(2).padding(2))
        => "max_pool2d: padding 2, 2 must be smaller than the window of 2";
    avg_pool_strides: |g| g.input("x", [2, 3, 4, 4])?.avg_pool2d(Pool2d::new(2).stride(0))
        => "avg_pool2d: kernel, stride and dilation must be at least 1";
    avg_pool_window_fits: |g| g.input("x", [2, 3, 4, 4])?.avg_pool2d(5)
        => "avg_pool2d: expected an extent of at least 5 with padding on axis 2, got f32[2, 3, 4, 4]";
    global_avg_pool_wants_images: |g| g.input("x", [2, 3])?.global_avg_pool2d()
        => "global_avg_pool2d: expected an f32 tensor of rank 4 [N, C, H, W], got f32[2, 3]";
    batch_norm_has_channels: |g| g.input("x", 2)?.batch_norm("bn", BatchNorm::default())
        => "batch_norm: expected an f32 tensor [N, C, ...], got f32[2]";
    batch_norm_needs_a_variance: |g| g.input("x", [1, 3])?.batch_norm("bn", BatchNorm::default())
        => "batch_norm `bn`: expected more than one value a channel when training, got f32[1, 3]";
    batch_norm_epsilon: |g| g.input("x", [2, 3])?.batch_norm("bn", BatchNorm::default().epsilon(f32::NAN))
        => "batch_norm `bn`: expected epsilon > 0 and momentum in 0..=1, got NaN and 0.1";
    relu_wants_floats: |g| g.label_input("x", 2)?.relu() => "relu: expected an f32 tensor, got u32[2]";
    leaky_relu_slope: |g| g.input("x", 2)?.leaky_relu(f32::NAN)
        => "leaky_relu: expected a slope of at least 0, got NaN";
    sigmoid_wants_floats: |g| g.label_input("x", 2)?.sigmoid() => "sigmoid: expected an f32 tensor, got u32[2]";
    tanh_wants_floats: |g| g.label_input("x", 2)?.tanh() => "tanh: expected an f32 tensor, got u32[2]";
    softmax_axis: |g| g.input("x", [2, 3])?.softmax(2) => "softmax: expected more than 2 axes, got f32[2, 3]";
    cross_entropy_label_count: |g| g.input("x", [2, 3])?.softmax_cross_entropy(g.label_input("l", 3)?)
        => "softmax_cross_entropy: expected labels u32[2], got u32[3]";
    cross_entropy_label_type: |g| g.input("x", [2, 3])?.softmax_cross_entropy(g.input("l", 2)?)
        => "softmax_cross_entropy: expected labels u32[2], got f32[2]";
    spatial_dropout_wants_channels: |g| g.input("x", [2, 3])?.spatial_dropout(0.5)
        => "spatial_dropout: expected an f32 tensor of rank 3 or more [N, C, ...], got f32[2, 3]";
    dropout_probability: |g| g.input("x", 2)?.dropout(1.0) => "dropout: expected a probability in 0..1, got 1";
    dropout_probability_is_a_number: |g| g.input("x", 2)?.dropout(f32::NAN)
        => "dropout: expected a probability in 0..1, got NaN";
    add_wants_shapes_that_broadcast: |g| g.input("x", [2, 3])?.add(g.input("y", [3, 2])?)
        => "add: expected f32 tensors whose shapes broadcast, got f32[2, 3] and f32[3, 2]";
    multiply_wants_floats: |g| g.input("x", 2)?.multiply(g.label_input("y", 2)?)
        => "multiply: expected f32 tensors whose shapes broadcast, got f32[2] and u32[2]";
    divide_by_a_number: |g| g.input("x", 2)?.divide(f32::INFINITY)
        => "divide: expected a finite number, got inf";
    select_wants_shapes_that_broadcast: |g| g.input("x", [2, 3])?.select(1.0, g.input("y", 2)?)
        => "select: expected f32 tensors whose shapes broadcast, got f32[2, 3] and f32[2]";
    clip_bounds: |g| g.input("x", 2)?.clip(1.0, 0.0) => "clip: expected finite bounds in order, got 1 and 0";
    clip_bounds_are_finite: |g| g.input("x", 2)?.clip(0.0, f32::INFINITY)
        => "clip: expected finite bounds in order, got 0 and inf";
    elu_alpha: |g| g.input("x", 2)?.elu(-1.0) => "elu: expected an alpha of at least 0, got -1";
    celu_alpha: |g| g.input("x", 2)?.celu(0.0) => "celu: expected an alpha above 0, got 0";
    softplus_beta: |g| g.input("x", 2)?.softplus(0.0, 20.0)
        => "softplus: expected beta > 0 and a threshold, got 0 and 20";
    prelu_has_a_slope_a_channel: |g| g.input("x", [2, 3, 4])?.prelu("act", 2)
        => "prelu `act`: expected 1 or 2 channels in axis 1, got f32[2, 3, 4]";
    prelu_slopes_broadcast: |g| g.input("x", [2, 3])?.prelu_with(g.input("slope", [4, 1, 1])?)
        => "prelu: expected a slope that broadcasts to [2, 3], got f32[4, 1, 1]";
    expand_copies_axes_of_one: |g| g.input("x", [2, 3])?.expand([2, 6])
        => "expand: expected a tensor that can be expanded to [2, 6], got f32[2, 3]";
    expand_adds_axes_in_front: |g| g.input("x", [2, 3])?.expand(3)
        => "expand: expected a tensor that can be expanded to [3], got f32[2, 3]";
    expand_wants_floats: |g| g.label_input("x", 1)?.expand(3) => "expand: expected an f32 tensor, got u32[1]";
    expand_has_an_end: |g| g.input("x", [2, 1, 2, 1, 2, 1])?.expand([2, 2, 2, 2, 2, 2])
        => "expand: copied and other axes take turns too often between [2, 1, 2, 1, 2, 1] and [2, 2, 2, 2, 2, 2]";
    concat_of_nothing: |g| g.concat(&[], 0) => "concat: expected at least one tensor";
    concat_other_axes_agree: |g| g.concat(&[g.input("x", [2, 3])?, g.input("y", [3, 3])?], 1)
        => "concat: expected f32[2, 3] but for axis 1, got f32[3, 3]";
    concat_axis: |g| g.concat(&[g.input("x", [2, 3])?], 2) => "concat: expected more than 2 axes, got f32[2, 3]";
    split_is_all_of_it: |g| Ok(g.input("x", [2, 5])?.split(1, &[2, 2])?[0])
        => "split: expected lengths of at least 1 that are 5 together, got [2, 2]";
    split_has_no_empty_part: |g| Ok(g.input("x", [2, 5])?.split(1, &[5, 0])?[0])
        => "split: expected lengths of at least 1 that are 5 together, got [5, 0]";
    slice_leaves_something: |g| g.input("x", [2, 5])?.slice(1, 3, 3, 1)
        => "slice: expected every axis to be at least 1, got [2, 0]";
    slice_has_a_step: |g| g.input("x", [2, 5])?.slice(1, 0, 3, 0) => "slice: a step of 0";
    slice_axis: |g| g.input("x", [2, 5])?.slice(2, 0, 3, 1) => "slice: expected more than 2 axes, got f32[2, 5]";
    slice_axis_once: |g| g.input("x", [2, 5])?.slices(&[Slice::new(1, 0, 3), Slice::new(1, 0, 2)])
        => "slice: axis 1 is named twice";
    slice_wants_floats: |g| g.label_input("x", 5)?.slice(0, 0, 3, 1) => "slice: expected an f32 tensor, got u32[5]";
    flip_axis: |g| g.input("x", [2, 5])?.flip(&[0, 2]) => "flip: expected more than 2 axes, got f32[2, 5]";
    transpose_names_each_axis: |g| g.input("x", [2, 5, 3])?.transpose(&[0, 2, 2])
        => "transpose: [0, 2, 2] is no order of the axes of f32[2, 5, 3]";
    transpose_of_too_many_axes: |g| g.input("x", [2; 7])?.transpose(&[6, 0, 1, 2, 3, 4, 5])
        => "transpose: expected at most 6 axes, got f32[2, 2, 2, 2, 2, 2, 2]";
    depth_to_space_blocks: |g| g.input("x", [1, 6, 2, 2])?.depth_to_space(2, DepthOrder::BlockFirst)
        => "depth_to_space: blocks of 2 by 2 for 6 channels";
    depth_to_space_has_blocks: |g| g.input("x", [1, 6, 2, 2])?.depth_to_space(0, DepthOrder::BlockFirst)
        => "depth_to_space: blocks of 0 by 0 for 6 channels";
    space_to_depth_blocks: |g| g.input("x", [1, 6, 2, 3])?.space_to_depth(2, DepthOrder::BlockFirst)
        => "space_to_depth: blocks of 2 by 2 for 2 by 3 pixels";
    channel_shuffle_groups: |g| g.input("x", [1, 6, 2, 3])?.channel_shuffle(4)
        => "channel_shuffle: 4 groups of 6 channels";
    channel_shuffle_axes: |g| g.input("x", 6)?.channel_shuffle(3) => "channel_shuffle: expected two to five axes, got f32[6]";
    squeeze_one_element: |g| g.input("x", [1, 3])?.squeeze(&[1])
        => "squeeze: expected an axis 1 of one element, got f32[1, 3]";
    unsqueeze_axes: |g| g.input("x", [1, 3])?.unsqueeze(&[4])
        => "unsqueeze: [4] are no new axes of a result of 3";
    flatten_from_an_axis: |g| g.input("x", [1, 3])?.flatten_from(2)
        => "flatten: expected more than 2 axes, got f32[1, 3]";
    pad_each_axis: |g| g.input("x", [2, 5])?.pad(&[[0, 1]], PadMode::Edge)
        => "pad: 1 pairs of amounts for the axes of f32[2, 5]";
    pad_leaves_something: |g| g.input("x", [2, 5])?.pad(&[[0, 0], [-2, -3]], PadMode::Constant(0.0))
        => "pad: [-2, -3] leave nothing of axis 1 of f32[2, 5]";
    reflection_is_of_other_elements: |g| g.input("x", [2, 5])?.pad(&[[0, 0], [5, 0]], PadMode::Reflect)
        => "pad: Reflect by at most 4, got [5, 0] at axis 1 of f32[2, 5]";
    wrapping_is_once: |g| g.input("x", [2, 5])?.pad(&[[0, 0], [0, 6]], PadMode::Wrap)
        => "pad: Wrap by at most 5, got [0, 6] at axis 1 of f32[2, 5]";
    tile_each_axis: |g| g.input("x", [2, 5])?.tile(&[2])
        => "tile: expected a number of at least 1 for each axis of f32[2, 5], got [2]";
    tile_leaves_something: |g| g.input("x", [2, 5])?.tile(&[2, 0])
        => "tile: expected a number of at least 1 for each axis of f32[2, 5], got [2, 0]";
    tile_has_an_end: |g| g.input("x", [2, 5])?.tile(&[1, usize::MAX])
        => format!("tile: {} elements of an axis and their weights are more than 16777216", usize::MAX);
    index_select_within: |g| g.input("x", [2, 5])?.index_select(1, &[0, 5]) => "index_select: index 5 of axis 1 of f32[2, 5]";
    index_select_something: |g| g.input("x", [2, 5])?.index_select(1, &[])
        => "index_select: nothing is left of axis 1 of f32[2, 5]";
    resize_each_axis: |g| g.input("x", [2, 5])?.resize(&[0, 1], &[3], Resize::linear())
        => "resize: expected a size of at least 1 for each of the axes [0, 1], got [3]";
    resize_leaves_something: |g| g.input("x", [2, 5])?.resize(&[1], &[0], Resize::linear())
        => "resize: expected a size of at least 1 for each of the axes [1], got [0]";
    resize_by_leaves_something: |g| g.input("x", [2, 5])?.resize_by(&[1], &[0.1], Resize::linear())
        => "resize: expected a scale for each of the axes [1] that leaves something, got [0.1]";
    resize_by_a_number: |g| g.input("x", [2, 5])?.resize_by(&[1], &[f32::NAN], Resize::linear())
        => "resize: expected a scale for each of the axes [1] that leaves something, got [NaN]";
    resize_axis_once: |g| g.input("x", [2, 5])?.resize(&[1, 1], &[3, 4], Resize::linear())
        => "resize: axis 1 is named twice";
    resize_axis: |g| g.input("x", [2, 5])?.resize(&[2], &[3], Resize::linear())
        => "resize: expected more than 2 axes, got f32[2, 5]";
    resize_of_the_nearest: |g| g.input("x", [2, 5])?.resize(&[1], &[3], Resize::nearest().antialias())
        => "resize: the nearest element cannot be antialiased";
    resize_by_a_finite_cubic: |g| g.input("x", [2, 5])?.resize(&[1], &[3], Resize::cubic().cubic_coefficient(f32::NAN))
        => "resize: expected a finite cubic coefficient, got NaN";
    resize_has_an_end: |g| g.input("x", [2, 5])?.resize(&[1], &[usize::MAX], Resize::linear())
        => format!("resize: {} elements of an axis and their weights are more than 16777216", usize::MAX);
    adaptive_pooling_leaves_something: |g| g.input("x", [2, 3, 5])?.adaptive_avg_pool1d(0)
        => "adaptive_avg_pool1d: expected sizes of at least 1, got [0]";
    adaptive_pooling_wants_images: |g| g.input("x", [2, 3, 5])?.adaptive_avg_pool2d(1)
        => "adaptive_avg_pool2d: expected an f32 tensor of rank 4 [N, C, H, W], got f32[2, 3, 5]";
    nothing_is_no_tensor: |g| g.input("x", [1, 3])?.expand([0, 3])
        => "expand: expected every axis to be at least 1, got [0, 3]";
    nothing_is_reshaped: |g| g.input("x", [2, 3])?.reshape([0, 3])
        => "reshape: expected 0 elements for [0, 3], got f32[2, 3]";
    nothing_is_sliced: |g| g.input("x", [2, 3])?.slice(1, 2, 2, 1)
        => "slice: expected every axis to be at least 1, got [2, 0]";
    nothing_is_picked: |g| g.input("x", [2, 3])?.index_select(1, &[])
        => "index_select: nothing is left of axis 1 of f32[2, 3]";
    nothing_is_left_by_padding: |g| g.input("x", [2, 3])?.pad(&[[0, 0], [-2, -1]], PadMode::Constant(0.0))
        => "pad: [-2, -1] leave nothing of axis 1 of f32[2, 3]";
    conv1d_has_filters: |g| g.input("x", [2, 3, 4])?.conv1d("c", Conv1d::new(0, 1))
        => "`c.weight`: expected every axis to be at least 1, got [0, 3, 1]";
    unfold_fits: |g| g.input("x", [2, 5])?.unfold(1, 3, 1, 3)
        => "unfold: expected at least 7 elements of axis 1, got f32[2, 5]";
    unfold_by_something: |g| g.input("x", [2, 5])?.unfold(1, 3, 0, 1)
        => "unfold: size, step and dilation must be at least 1";
    gather_by_numbers: |g| g.input("x", [2, 5])?.gather(g.input("i", 3)?, 0)
        => "gather: expected indices of u32, got f32[3]";
    gather_axis: |g| g.input("x", [2, 5])?.gather(g.label_input("i", 3)?, 2)
        => "gather: expected more than 2 axes, got f32[2, 5]";
    take_along_axis_of_one_shape: |g| g.input("x", [2, 5])?.take_along_axis(g.label_input("i", 3)?, 0)
        => "take_along_axis: expected indices [2, 5] but for axis 0, got u32[3]";
    one_hot_of_numbers: |g| g.input("x", 5)?.one_hot(3) => "one_hot: expected indices of u32, got f32[5]";
    one_hot_has_a_depth: |g| g.label_input("x", 5)?.one_hot(0) => "one_hot: a depth of 0";
    reshape_keeps_the_elements: |g| g.input("x", [2, 3])?.reshape([4, 2])
        => "reshape: expected 8 elements for [4, 2], got f32[2, 3]";
    flatten_wants_an_axis: |g| g.input("x", [])?.flatten() => "flatten: expected at least one axis, got []";
    normalize_wants_bytes: |g| g.input("x", [2, 1, 4, 4])?.normalize(&[0.5], &[1.0])
        => "normalize: expected u8 images [N, C, H, W] of at most 4 channels, got f32[2, 1, 4, 4]";
    normalize_each_channel: |g| g.image_input("x", [2, 3, 4, 4])?.normalize(&[0.5], &[1.0])
        => "normalize: expected a mean and a deviation for 3 channels, got 1 means and 1 deviations";
    normalize_by_a_positive_deviation: |g| g.image_input("x", [2, 1, 4, 4])?.normalize(&[0.5], &[-1.0])
        => "normalize: expected finite means and positive deviations with finite quotients, got means [0.5] and deviations [-1.0]";
    normalize_by_a_finite_mean: |g| g.image_input("x", [2, 1, 4, 4])?.normalize(&[f32::NAN], &[1.0])
        => "normalize: expected finite means and positive deviations with finite quotients, got means [NaN] and deviations [1.0]";
    normalize_to_finite_values: |g| g.image_input("x", [2, 1, 4, 4])?.normalize(&[1.0], &[1e-39])
        => "normalize: expected finite means and positive deviations with finite quotients, got means [1.0] and deviations [1e-39]";
    a_metric_is_one_value: |g| {
        let x = g.input("x", [2, 3])?;
        g.metric("m", x, 1.0).map(|()| x)
    } => "metric: expected a value f32[1], got f32[2, 3]";
    a_loss_is_one_value: |g| {
        let y = g.input("x", [2, 3])?.dense("fc", 2)?;
        g.minimize(y, &Optimizer::sgd(0.1)).map(|()| y)
    } => "gradients: expected a loss of one element, got [2, 2]";
    an_input_has_no_empty_axis: |g| g.input("x", [2, 0, 3])
        => "`x`: expected every axis to be at least 1, got [2, 0, 3]";
    a_name_is_taken_once: |g| g.input("x", [2, 3]).and_then(|_| g.label_input("x", 2))
        => "graph: the name `x` is already taken by a tensor f32[2, 3]";
    a_layer_name_is_taken_once: |g| g.input("x", [2, 3])?.dense("fc", 3)?.dense("fc", 3)
        => "graph: the name `fc.weight` is already taken by a tensor f32[3, 3]";
    a_name_is_not_empty: |g| g.input("", 1) => "graph: a name must not be empty";
    a_computed_tensor_takes_no_known_name: |g| g.name("x", g.input("x", 2)?.relu()?)
        => "graph: the name `x` is already taken by a tensor f32[2]";
    a_padding_has_an_end: |g| g.input("x", [1, 1, 4, 4])?.conv2d("c1", Conv2d::new(1, 1).padding(usize::MAX))
        => format!("conv2d `c1`: expected at most 2^48 bytes, got [1, 1, {0}, {0}]", usize::MAX);
    a_dilation_has_an_end: |g| g.input("x", [1, 1, 4, 4])?.conv2d("c1", Conv2d::new(1, 3).dilation(usize::MAX))
        => format!("conv2d `c1`: expected at least {} along axis 2 with a padding of 0 and 0, got f32[1, 1, 4, 4]", usize::MAX);
    reshape_to_too_many: |g| g.input("x", 6)?.reshape([usize::MAX, 2])
        => format!("reshape: expected {0} elements for [{0}, 2], got f32[6]", usize::MAX);
    a_shape_has_a_size: |g| g.input("x", [usize::MAX, 2])
        => format!("`x`: expected at most 2^48 bytes, got [{}, 2]", usize::MAX);
}
