"""Elementary functions from correctly rounded operations only: the same bits on every device.

Only +, -, *, / and sqrt of IEEE double precision in a fixed order, and exact operations on bits;
no mathematics library and no fused multiply-add (Numba does not contract; nvcc: -fmad=false).
Polynomials: FreeBSD's msun (e_log.c, k_sin.c, k_cos.c; Sun Microsystems 1993).
`kernels/elementary.cuh` is the twin of this file.
"""

import numpy as np
from numba import njit

LN2 = 0.6931471805599453
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ORIGIN = np.int64(0x3FE6A09E00000000)  # bits of a number a little below sqrt(1/2)
_TWO_PI_32 = 1.4629180792671596e-09  # 2 pi / 2^32
LARGEST_NORMAL = 6.77  # above sqrt(2 * 33 ln 2): the largest deviate that 32 bits can give


@njit(inline="always")
def ln(x):
    """Natural logarithm of a positive normal double; error below one unit in the last place."""
    bits = np.float64(x).view(np.int64)
    k = (bits - _ORIGIN) >> np.int64(52)
    f = np.int64(bits - (k << np.int64(52))).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    t1 = w * (
        3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01)
    )
    t2 = z * (
        6.666666666666735130e-01
        + w
        * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    half = 0.5 * f * f
    e = np.float64(k)
    return e * _LN2_HIGH - ((half - (s * (half + (t1 + t2)) + e * _LN2_LOW)) - f)


@njit(inline="always")
def uniform(high, low):
    """The double ((64-bit word >> 12) + 1/2) / 2^52 in (0, 1), exactly, of two 32-bit words."""
    word = (np.uint64(high) << np.uint64(32)) | np.uint64(low)
    return (np.float64(word >> np.uint64(12)) + 0.5) * 2.220446049250313e-16


@njit(inline="always")
def exponential(v):
    """-ln(1 - v) for v in (0, 1), with full relative precision for small v.

    The error of y = 1 - v is undone by the factor v / (1 - y) (Kahan; Higham 2002, section 1.14).
    """
    y = 1.0 - v
    if y == 1.0:
        return v
    return -ln(y) * (v / (1.0 - y))


@njit(inline="always")
def normal_pair(a, b):
    """Two standard normal deviates of two 32-bit words (Box, Muller 1958)."""
    radius = np.sqrt(-2.0 * ln((np.float64(a) + 0.5) * 2.3283064365386963e-10))
    quadrant = (np.int64(b) + np.int64(1 << 29)) >> np.int64(30)
    x = np.float64(np.int64(b) - (quadrant << np.int64(30))) * _TWO_PI_32  # in [-pi/4, pi/4]
    z = x * x
    sine = x + x * z * (
        -1.66666666666666324348e-01
        + z
        * (
            8.33333333332248946124e-03
            + z
            * (
                -1.98412698298579493134e-04
                + z
                * (
                    2.75573137070700676789e-06
                    + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
                )
            )
        )
    )
    cosine = (
        1.0
        - 0.5 * z
        + z
        * z
        * (
            4.16666666666666019037e-02
            + z
            * (
                -1.38888888888741095749e-03
                + z
                * (
                    2.48015872894767294178e-05
                    + z
                    * (
                        -2.75573143513906633035e-07
                        + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
                    )
                )
            )
        )
    )
    swap = (quadrant & 1) == 1
    across = sine if swap else cosine
    up = cosine if swap else sine
    across = -across if (quadrant + 1) & 2 else across
    up = -up if quadrant & 2 else up
    return radius * across, radius * up
