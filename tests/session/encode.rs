//! Steps recorded into a host's own command encoder, on a host's own device.

use omma::{Error, Gpu, Variables, wgpu};

use super::{evaluation, in_time, outputs, rows, training, variable};
use crate::support::{host_device, own_gpu};

fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("host") })
}

#[test]
fn encoding_gives_what_running_gives() {
    let Some((adapter, device, queue)) = host_device(|limits| limits) else { return };
    let gpu = Gpu::from_wgpu(&adapter, device, queue.clone());
    let variables = Variables::new(&gpu, 1);
    let (mut session, y) = evaluation(&gpu, &variables, 2);
    let expected = outputs(&mut session, y, &rows(2));
    outputs(&mut session, y, &vec![0.0; 6]);
    let before = gpu.statistics();
    let mut encoder = encoder(&gpu);
    session.encode(&mut encoder, &[("x", (&rows(2)).into())]).unwrap();
    assert_eq!(gpu.statistics(), before, "encoding submits and makes nothing");
    assert_ne!(session.read_blocking::<f32>(y).unwrap(), expected, "nothing has run yet");
    queue.submit([encoder.finish()]);
    assert_eq!(session.read_blocking::<f32>(y).unwrap(), expected);
}

/// A session just made has every staging buffer at hand.
#[test]
fn the_first_step_can_be_encoded_at_once() {
    let Some(gpu) = own_gpu() else { return };
    let (mut session, y) = evaluation(&gpu, &Variables::new(&gpu, 1), 1);
    let mut encoder = encoder(&gpu);
    session.encode(&mut encoder, &[("x", (&rows(1)).into())]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    assert!(session.read_blocking::<f32>(y).unwrap().iter().all(|value| value.is_finite()));
}

#[test]
fn several_steps_go_into_one_encoder() {
    let Some(gpu) = own_gpu() else { return };
    let inputs = (rows(4), vec![0_u32, 1, 1, 0]);
    let weights = |encoded: bool| {
        let variables = Variables::new(&gpu, 1);
        let (mut session, _) = training(&gpu, &variables, 4);
        let feeds = [("x", (&inputs.0).into()), ("labels", (&inputs.1).into())];
        pollster::block_on(session.ready()).unwrap();
        let mut encoder = encoder(&gpu);
        for _ in 0..2 {
            match encoded {
                true => session.encode(&mut encoder, &feeds).unwrap(),
                false => session.run_blocking(&feeds).unwrap(),
            }
        }
        gpu.queue().submit([encoder.finish()]);
        variable(&variables, "fc.weight")
    };
    assert_eq!(weights(true), weights(false));
}

#[test]
fn more_steps_than_the_ring_holds_are_refused_until_one_has_run() {
    let Some(gpu) = own_gpu() else { return };
    let (mut session, y) = evaluation(&gpu, &Variables::new(&gpu, 1), 1);
    pollster::block_on(session.ready()).unwrap();
    let mut encoder = encoder(&gpu);
    let depth = 3;
    for _ in 0..depth {
        session.encode(&mut encoder, &[("x", (&rows(1)).into())]).unwrap();
    }
    match session.encode(&mut encoder, &[("x", (&vec![9.0; 3]).into())]) {
        Err(Error::Busy(slots)) => assert_eq!(slots, depth),
        other => panic!("{other:?}"),
    }
    assert_eq!(session.step(), 3);
    gpu.queue().submit([encoder.finish()]);
    pollster::block_on(session.ready()).unwrap();
    let before = session.read_blocking::<f32>(y).unwrap();
    assert_eq!(outputs(&mut session, y, &rows(1)), before);
}

#[test]
fn a_dropped_encoder_gives_its_staging_buffer_back() {
    let Some(gpu) = own_gpu() else { return };
    let (mut session, y) = evaluation(&gpu, &Variables::new(&gpu, 1), 2);
    let expected = outputs(&mut session, y, &rows(2));
    let before = gpu.statistics();
    for round in 0..10 {
        session = in_time(move || {
            pollster::block_on(session.ready()).unwrap();
            session
        });
        let mut encoder = encoder(&gpu);
        session.encode(&mut encoder, &[("x", (&vec![f32::NAN; 6]).into())]).unwrap();
        // Unfinished in one round, finished but never submitted in the next.
        if round % 2 == 0 {
            drop(encoder);
        } else {
            drop(encoder.finish());
        }
    }
    assert_eq!(gpu.statistics(), before);
    assert_eq!(session.read_blocking::<f32>(y).unwrap(), expected, "no dropped step has run");
    assert_eq!(outputs(&mut session, y, &rows(2)), expected);
}

#[test]
fn the_hosts_own_commands_stand_beside_the_step() {
    let Some((adapter, device, queue)) = host_device(|limits| limits) else { return };
    let gpu = Gpu::from_wgpu(&adapter, device.clone(), queue.clone());
    let (mut session, y) = evaluation(&gpu, &Variables::new(&gpu, 1), 1);
    let expected = outputs(&mut session, y, &rows(1));
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let own = device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false });
    let mut encoder = encoder(&gpu);
    encoder.clear_buffer(&own, 0, None);
    session.encode(&mut encoder, &[("x", (&rows(1)).into())]).unwrap();
    encoder.clear_buffer(&own, 0, None);
    queue.submit([encoder.finish()]);
    assert_eq!(session.read_blocking::<f32>(y).unwrap(), expected);
}
