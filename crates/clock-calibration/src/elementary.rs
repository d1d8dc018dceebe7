//! Logarithm and exponential of many numbers at once, in the form that compilers turn into vector instructions. They differ
//! from those of the standard library by a few units in the last place. Only the point and the learned delays use them.

/// The bits of the mantissa.
const MANTISSA: u32 = 52;
/// 2^52: a number of this size has no bits for a fraction, so its mantissa is an integer.
const WHOLE: f64 = 4_503_599_627_370_496.0;
/// The exponent is biased by this.
const BIAS: f64 = 1023.0;
/// Exponents below this give 0.
const LEAST: f64 = -700.0;

/// Natural logarithms. Zero and less give minus infinity.
pub(crate) fn logarithms<const N: usize>(numbers: &[f64; N]) -> [f64; N] {
    let mut logs = *numbers;
    for log in &mut logs {
        let number = *log;
        let x = number.max(f64::MIN_POSITIVE);
        // x = m · 2^e with m between √½ and √2.
        let bits = x.to_bits() + (1.0_f64.to_bits() - std::f64::consts::FRAC_1_SQRT_2.to_bits());
        let exponent = bits >> MANTISSA;
        let m = f64::from_bits((bits & ((1 << MANTISSA) - 1)) + std::f64::consts::FRAC_1_SQRT_2.to_bits());
        let e = f64::from_bits(WHOLE.to_bits() | exponent) - (WHOLE + BIAS);
        // ln m = 2 artanh f.
        let f = (m - 1.0) / (m + 1.0);
        let s = f * f;
        let mut sum = 1.0 / 19.0;
        for divisor in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
            sum = sum * s + 1.0 / divisor;
        }
        let finite = e * std::f64::consts::LN_2 + 2.0 * f * sum;
        *log = if number > 0.0 { finite } else { f64::NEG_INFINITY };
    }
    logs
}

/// Exponentials of numbers that are not positive.
pub(crate) fn exponentials<const N: usize>(numbers: &[f64; N]) -> [f64; N] {
    /// To add and subtract it rounds to an integer, which stays in the mantissa's low bits.
    const ROUND: f64 = 1.5 * WHOLE;
    /// The upper bits of ln 2, so that their multiples are exact, and the rest.
    const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    let mut exps = *numbers;
    for exp in &mut exps {
        let number = *exp;
        let x = number.max(LEAST);
        let shifted = x * std::f64::consts::LOG2_E + ROUND;
        let k = shifted - ROUND;
        let r = x - k * LN_2.0 - k * LN_2.1;
        let mut sum = 1.0;
        for divisor in [13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
            sum = sum * (r * (1.0 / divisor)) + 1.0;
        }
        let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << MANTISSA);
        *exp = if number > LEAST { sum * scale } else { 0.0 };
    }
    exps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_agree_with_the_standard_library() {
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..2000 {
            let x = [1e-9, 1e-3, 1.0, 1e3, 1e12].map(|most| most * random.f64());
            for (log, x) in logarithms(&x).into_iter().zip(x) {
                assert!((log - x.ln()).abs() <= 4e-15 * x.ln().abs().max(0.1), "{x}: {log}");
            }
            let x = [1.0, 10.0, 600.0].map(|most| -most * random.f64());
            for (exp, x) in exponentials(&x).into_iter().zip(x) {
                assert!((exp / x.exp() - 1.0).abs() <= 4e-15, "{x}: {exp}");
            }
        }
        assert_eq!(
            logarithms(&[1.0, 0.0, -1.0]),
            [0.0, f64::NEG_INFINITY, f64::NEG_INFINITY]
        );
        assert_eq!(exponentials(&[0.0, f64::NEG_INFINITY]), [1.0, 0.0]);
    }
}
