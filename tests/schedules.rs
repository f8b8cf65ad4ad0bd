//! Learning-rate schedules: PyTorch's formulas worked out by hand, at the edges and beyond.

use std::f64::consts::PI;

use omma::train::{OneCycle, Plateau, Schedule};

/// A factor is computed in f64 and rounded once.
fn assert_factors(schedule: &Schedule, expected: &[(u32, f64)]) {
    for &(step, expected) in expected {
        let factor = f64::from(schedule.factor(step));
        let bound = f64::from(f32::EPSILON) * expected.abs() + 1e-15;
        assert!((factor - expected).abs() <= bound, "{schedule:?} at step {step}: {factor}, expected {expected}");
    }
}

#[test]
fn a_constant_stays() {
    assert_factors(&Schedule::constant(), &[(0, 1.0), (1, 1.0), (u32::MAX, 1.0)]);
    assert_eq!(Schedule::default(), Schedule::constant());
}

#[test]
fn steps_fall_at_their_steps() {
    // StepLR: gamma^⌊step / every⌋.
    let schedule = Schedule::step(3, 0.5);
    assert_factors(&schedule, &[(0, 1.0), (2, 1.0), (3, 0.5), (5, 0.5), (6, 0.25), (u32::MAX, 0.0)]);
    // MultiStepLR: gamma to the number of milestones that are not ahead, whatever their order; twice is twice.
    let schedule = Schedule::multi_step(&[5, 2, 5], 0.5);
    assert_factors(&schedule, &[(0, 1.0), (1, 1.0), (2, 0.5), (4, 0.5), (5, 0.125), (6, 0.125), (u32::MAX, 0.125)]);
}

#[test]
fn exponentials_and_polynomials() {
    assert_factors(&Schedule::exponential(0.5), &[(0, 1.0), (1, 0.5), (10, 1.0 / 1024.0), (u32::MAX, 0.0)]);
    assert_factors(&Schedule::polynomial(10, 1.0), &[(0, 1.0), (1, 0.9), (9, 0.1), (10, 0.0), (11, 0.0)]);
    assert_factors(&Schedule::polynomial(4, 2.0), &[(0, 1.0), (1, 0.5625), (2, 0.25), (4, 0.0), (u32::MAX, 0.0)]);
    // What is 0 at the end stays so with any power but 0.
    assert_factors(&Schedule::polynomial(4, 0.5), &[(0, 1.0), (3, 0.5), (4, 0.0)]);
}

#[test]
fn the_cosine_rises_falls_and_ends_at_its_floor() {
    let schedule = Schedule::cosine(110).warmup(10);
    assert_factors(&schedule, &[(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (60, 0.5), (110, 0.0), (u32::MAX, 0.0)]);
    assert_factors(&schedule, &[(35, 0.5 * (1.0 + (PI / 4.0).cos()))]);
    // CosineAnnealingLR: eta_min + (1 - eta_min)/2 · (1 + cos(π·step/T_max)), with eta_min 0.25.
    let schedule = Schedule::cosine(8).floor(0.25);
    assert_factors(&schedule, &[(0, 1.0), (4, 0.625), (8, 0.25), (9, 0.25)]);
    assert_factors(&schedule, &[(2, 0.25 + 0.375 * (1.0 + 0.5_f64.sqrt()))]);
}

#[test]
fn restarts_begin_at_the_full_rate() {
    // CosineAnnealingWarmRestarts(T_0 = 4): 1/2 (1 + cos(π·T_cur/T_0)).
    let quarter = 0.5 * (1.0 + 0.5_f64.sqrt());
    let schedule = Schedule::cosine_restarts(4, 1);
    assert_factors(&schedule, &[(0, 1.0), (1, quarter), (2, 0.5), (4, 1.0), (6, 0.5), (4_000_000_001, quarter)]);
    // T_mult = 2: periods of 4, 8, 16, which begin at 0, 4, 12, 28.
    let schedule = Schedule::cosine_restarts(4, 2);
    assert_factors(&schedule, &[(3, 1.0 - quarter), (4, 1.0), (6, quarter), (8, 0.5), (12, 1.0), (20, 0.5), (28, 1.0)]);
    // A period of 4·2^29 steps, which begins at 4·(2^29 - 1).
    let (begin, length) = (2_147_483_644.0, 2_147_483_648.0);
    assert_factors(&schedule, &[(3_000_000_000, 0.5 * (1.0 + (PI * (3e9 - begin) / length).cos()))]);
    assert_factors(&schedule.warmup(2), &[(0, 0.5), (1, 1.0), (2, 1.0), (4, 0.5), (6, 1.0)]);
}

/// OneCycleLR(total_steps = 10, pct_start = 0.3): up to step 0.3·10 - 1 = 2, down to step 9.
#[test]
fn one_cycle_goes_up_and_down() {
    let schedule = Schedule::one_cycle(OneCycle::new(10));
    let last = 1.0 / 25.0 / 1e4;
    let down = |step: f64| last + (1.0 - last) / 2.0 * (1.0 + (PI * (step - 2.0) / 7.0).cos());
    // 1/25 and 1e-4 of it as f32 numbers; the halves of a cosine meet in the middle.
    assert_factors(&schedule, &[(0, 0.04), (1, 0.52), (2, 1.0), (3, down(3.0)), (8, down(8.0)), (9, last)]);
    assert_factors(&schedule, &[(10, last), (u32::MAX, last)]);
    let momentum = |step: u32| schedule.momentum(step).unwrap();
    for (step, expected) in [(0, 0.95), (1, 0.9), (2, 0.85), (9, 0.95), (10, 0.95)] {
        assert!((momentum(step) - expected).abs() < 1e-6, "step {step}: {}", momentum(step));
    }
    assert!((momentum(3) - (0.85 + 0.05 * (1.0 - (std::f32::consts::PI / 7.0).cos()))).abs() < 1e-6);
    // Other values; no momentum; a rise of a step or less begins on the way down, one of all steps has no way down.
    let cycle = OneCycle::new(9).rise(1.0).divisors(2.0, 4.0);
    let schedule = Schedule::one_cycle(cycle.without_momentum());
    assert_factors(&schedule, &[(0, 0.5), (4, 0.75), (8, 1.0), (9, 1.0)]);
    assert_eq!((schedule.momentum(0), Schedule::cosine(9).momentum(0)), (None, None));
    let schedule = Schedule::one_cycle(OneCycle::new(4).rise(0.25).divisors(2.0, 4.0).momentum(0.5, 0.75));
    assert_factors(&schedule, &[(0, 1.0), (1, 0.78125), (3, 0.125)]);
    assert_eq!([0, 1, 3].map(|step| schedule.momentum(step).unwrap()), [0.5, 0.5625, 0.75]);
    for total in [1, 2] {
        let schedule = Schedule::one_cycle(OneCycle::new(total).rise(0.5));
        assert!((0..4).all(|step| (0.0..=1.0).contains(&schedule.factor(step))), "{total}");
    }
}

#[test]
fn a_warm_up_precedes_any_schedule() {
    // SequentialLR: what follows counts from the warm-up's end.
    assert_factors(&Schedule::step(2, 0.5).warmup(4), &[(0, 0.25), (3, 1.0), (5, 1.0), (6, 0.5), (8, 0.25)]);
    assert_factors(&Schedule::constant().warmup(2), &[(0, 0.5), (1, 1.0), (2, 1.0)]);
    // Longer than the run.
    assert_factors(&Schedule::cosine(5).warmup(10), &[(4, 0.5), (9, 1.0), (10, 1.0), (11, 0.0)]);
}

/// ReduceLROnPlateau, its loop by hand.
#[test]
fn a_plateau_lowers_the_rate() {
    let observe = |mut plateau: Plateau, metrics: &[f64]| -> Vec<f32> {
        metrics.iter().map(|&metric| plateau.observe(metric)).collect()
    };
    // Patience 2: the third one that is no better lowers the rate, and counting starts anew.
    let falling = Plateau::new().patience(2).factor(0.5);
    let metrics = [3.0, 2.0, 2.0, 2.5, 2.0, 2.0, 2.0, 2.0, 1.0];
    assert_eq!(observe(falling.clone(), &metrics), [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
    // Better by less than the threshold is no better: 2·(1 - 1e-4) = 1.9998.
    assert_eq!(observe(falling.clone().patience(0), &[2.0, 1.9999, 1.9997]), [1.0, 0.5, 0.5]);
    assert_eq!(observe(falling.clone().patience(0).threshold(0.5), &[2.0, 1.5, 0.9]), [1.0, 0.5, 0.5]);
    // Cooling down, two observations count for nothing.
    let cooling = falling.clone().patience(0).cooldown(2);
    assert_eq!(observe(cooling, &[1.0; 6]), [1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
    // A floor; a metric that is to rise; not-a-number.
    assert_eq!(observe(falling.clone().patience(0).floor(0.3), &[1.0; 4]), [1.0, 0.5, 0.3, 0.3]);
    assert_eq!(observe(falling.clone().patience(0).rising(), &[0.5, 0.6, 0.6, 0.7]), [1.0, 1.0, 0.5, 0.5]);
    assert_eq!(observe(falling.patience(0), &[f64::NAN, 1.0, f64::NAN]), [0.5, 0.5, 0.25]);
    // The defaults: a tenth after eleven that are no better.
    let shares = observe(Plateau::new(), &[1.0; 12]);
    assert_eq!((shares[10], shares[11]), (1.0, 0.1));
}
