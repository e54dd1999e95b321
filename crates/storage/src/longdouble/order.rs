//! Which of two long doubles is the greater, and a number's opposite.

use std::cmp::Ordering;

use super::{Finite, LongDouble};

impl LongDouble {
    /// Compares two values; both zeros are equal.
    pub fn order(self, other: LongDouble) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    /// The same number with the other sign.
    pub fn negated(self) -> LongDouble {
        match self {
            LongDouble::Finite(value) => LongDouble::Finite(Finite {
                negative: !value.negative,
                ..value
            }),
            LongDouble::Infinite { negative } => LongDouble::Infinite { negative: !negative },
        }
    }

    /// Something that is ordered as the values are. Mantissas have their top bit set unless the exponent is the lowest,
    /// so the exponent decides first.
    fn rank(self) -> (i8, i64, i128) {
        match self {
            LongDouble::Infinite { negative: true } => (-2, 0, 0),
            LongDouble::Infinite { negative: false } => (2, 0, 0),
            LongDouble::Finite(Finite { mantissa: 0, .. }) => (0, 0, 0),
            LongDouble::Finite(value) if value.negative => (-1, -value.exponent, -i128::from(value.mantissa)),
            LongDouble::Finite(value) => (1, value.exponent, i128::from(value.mantissa)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_is_that_of_doubles(a in any::<f64>(), b in any::<f64>(), near in -1.0f64..1.0) {
            for (a, b) in [(a, b), (a, a), (near, -near), (near, near / 3.0), (a, 0.0), (-0.0, 0.0)] {
                prop_assume!(!a.is_nan() && !b.is_nan());
                let (x, y) = (LongDouble::from(a), LongDouble::from(b));
                prop_assert_eq!(Some(x.order(y)), a.partial_cmp(&b), "{} {}", a, b);
                prop_assert_eq!(x.negated().order(y.negated()), x.order(y).reverse());
                prop_assert_eq!(x.negated().negated(), x);
            }
        }
    }
}
