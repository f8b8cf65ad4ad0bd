//! What the device refuses or loses arrives as an error: no panic, no endless wait.

use omma::{Error, Gpu, Graph, Mode, Result, Session, TensorId, Variables, wgpu};

use super::{evaluation, in_time, rows};
use crate::support::{host_device, own_gpu};

/// A session on a device that the host has destroyed, after one good step.
fn lost() -> Option<(Gpu, Session, TensorId, Variables)> {
    let (adapter, device, queue) = host_device(|limits| limits)?;
    let gpu = Gpu::from_wgpu(&adapter, device.clone(), queue);
    let variables = Variables::new(&gpu, 1);
    let (mut session, y) = evaluation(&gpu, &variables, 2);
    session.run_blocking(&[("x", (&rows(2)).into())]).unwrap();
    session.read_blocking::<f32>(y).unwrap();
    device.destroy();
    Some((gpu, session, y, variables))
}

fn is_lost<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::DeviceLost(_))), "{result:?}");
}

#[test]
fn steps_on_a_lost_device_are_errors() {
    let Some((_, mut session, ..)) = lost() else { return };
    in_time(move || {
        // A staging buffer or two may still be mapped; the ring shows the loss when they come round.
        let steps: Vec<Result<()>> = (0..5).map(|_| session.run_blocking(&[("x", (&rows(2)).into())])).collect();
        assert!(steps.iter().any(Result::is_err), "{steps:?}");
        is_lost(session.run_blocking(&[("x", (&rows(2)).into())]));
        is_lost(pollster::block_on(session.ready()));
    });
}

#[test]
fn readbacks_from_a_lost_device_are_errors() {
    let Some((_, session, y, variables)) = lost() else { return };
    in_time(move || {
        is_lost(session.read_blocking::<f32>(y));
        is_lost(session.read_blocking::<f32>(y));
        is_lost(variables.read_all_blocking());
        is_lost(pollster::block_on(variables.to_safetensors()));
    });
}

#[test]
fn an_awaited_readback_of_a_lost_device_ends() {
    let Some((_, session, y, _)) = lost() else { return };
    in_time(move || is_lost(session.read::<f32>(y).and_then(pollster::block_on)));
}

#[test]
fn sessions_on_a_lost_device_are_refused() {
    let Some((gpu, session, y, _)) = lost() else { return };
    in_time(move || {
        let graph = Graph::new(Mode::Evaluation);
        let z = graph.input("x", 3).unwrap().relu().unwrap();
        let fresh = Session::new(&gpu, &graph, &[z], &Variables::new(&gpu, 1));
        is_lost(fresh.and_then(|mut session| {
            session.run_blocking(&[("x", [1.0_f32; 3].as_slice().into())])?;
            session.read_blocking::<f32>(z)
        }));
        is_lost(session.read_blocking::<f32>(y));
        // From here on the loss is known.
        is_lost(Session::new(&gpu, &graph, &[z], &Variables::new(&gpu, 1)));
        is_lost(gpu.wait_blocking());
    });
}

/// On a device of its own, Omma hears of the loss itself.
#[test]
fn a_lost_device_of_its_own_is_known_at_once() {
    let Some(gpu) = own_gpu() else { return };
    let (mut session, y) = evaluation(&gpu, &Variables::new(&gpu, 1), 2);
    session.run_blocking(&[("x", (&rows(2)).into())]).unwrap();
    gpu.device().destroy();
    in_time(move || {
        is_lost(session.read_blocking::<f32>(y));
        is_lost(session.run_blocking(&[("x", (&rows(2)).into())]));
        is_lost(session.poison());
        is_lost(gpu.wait_blocking());
    });
}

#[test]
fn a_buffer_beyond_the_limit_is_an_error_that_names_it() {
    let small = |limits: wgpu::Limits| wgpu::Limits {
        max_buffer_size: 1 << 16,
        max_storage_buffer_binding_size: 1 << 16,
        max_uniform_buffer_binding_size: limits.max_uniform_buffer_binding_size.min(1 << 16),
        ..limits
    };
    let Some((adapter, device, queue)) = host_device(small) else { return };
    let gpu = Gpu::from_wgpu(&adapter, device, queue);
    let variables = Variables::new(&gpu, 1);
    let limit = |result: Result<Session>, wanted: &str| match result {
        Err(Error::Limit { limit, allowed, needed, .. }) => {
            assert_eq!((limit, allowed), (wanted, 1 << 16));
            assert!(needed > 1 << 16);
        }
        other => panic!("{other:?}"),
    };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", 1 << 15).unwrap().relu().unwrap();
    limit(Session::new(&gpu, &graph, &[y], &variables), "max_storage_buffer_binding_size");
    // Each fits by itself, all inputs together do not.
    let graph = Graph::new(Mode::Evaluation);
    let [a, b] = ["a", "b"].map(|name| graph.input(name, 12_000).unwrap());
    let y = a.add(b).unwrap();
    limit(Session::new(&gpu, &graph, &[y], &variables), "max_buffer_size");
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 200]).unwrap().dense("large", 100).unwrap();
    limit(Session::new(&gpu, &graph, &[y], &variables), "max_buffer_size");
    // And the variables go on being of use.
    let (mut session, y) = evaluation(&gpu, &variables, 2);
    session.run_blocking(&[("x", (&rows(2)).into())]).unwrap();
    assert!(session.read_blocking::<f32>(y).unwrap().iter().all(|value| value.is_finite()));
}

/// A call that wgpu refuses.
fn mistake(device: &wgpu::Device) {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
    drop(device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("mistaken"),
        size: 4,
        usage,
        mapped_at_creation: false,
    }));
}

/// On a device of its own, Omma hears of errors that nobody caught, and tells the next caller, once.
#[test]
fn a_stray_error_reaches_the_next_call_once() {
    let Some(gpu) = own_gpu() else { return };
    let (mut session, _) = evaluation(&gpu, &Variables::new(&gpu, 1), 1);
    mistake(gpu.device());
    let error = session.run_blocking(&[("x", (&rows(1)).into())]).unwrap_err();
    assert!(matches!(&error, Error::Validation(text) if text.contains("mistaken")), "{error}");
    session.run_blocking(&[("x", (&rows(1)).into())]).unwrap();
}

/// On a host's device the host's own mistakes stay with the host.
#[test]
fn a_hosts_error_scope_is_left_alone() {
    let Some((adapter, device, queue)) = host_device(|limits| limits) else { return };
    let gpu = Gpu::from_wgpu(&adapter, device.clone(), queue);
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let (mut session, _) = evaluation(&gpu, &Variables::new(&gpu, 1), 1);
    session.run_blocking(&[("x", (&rows(1)).into())]).unwrap();
    mistake(&device);
    session.run_blocking(&[("x", (&rows(1)).into())]).unwrap();
    let error = pollster::block_on(scope.pop());
    assert!(error.is_some_and(|error| error.to_string().contains("mistaken")));
}

#[test]
fn an_unknown_adapter_is_named() {
    if own_gpu().is_none() {
        return;
    }
    let error = Gpu::new_blocking(&omma::GpuOptions::adapter("no such thing")).unwrap_err();
    assert!(matches!(error, Error::NoAdapter(_)));
    assert!(error.to_string().starts_with("no adapter's name contains `no such thing`; there is `"), "{error}");
}
