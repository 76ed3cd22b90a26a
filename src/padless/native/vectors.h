/* What all kernels share: vectors of LANES numbers, and names by level. */

#ifndef PADLESS_VECTORS_H
#define PADLESS_VECTORS_H

#include <stdint.h>
#include <string.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* NAME(lstm) is padless_lstm_v4 in the unit that is compiled for x86-64-v4. */
#define JOINED_(name, level) padless_##name##_##level
#define JOINED(name, level) JOINED_(name, level)
#define NAME(name) JOINED(name, LEVEL)

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

static inline vec load(const float *from) {
    vec x;
    memcpy(&x, from, sizeof x); /* from any address */
    return x;
}

static inline void store(float *to, vec x) { memcpy(to, &x, sizeof x); }

static inline vec every(float x) { return x - (vec){0}; }

/* a where the mask is all ones, b where it is 0. */
static inline vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* e^x to 1e-7 of itself; 0 below -87, infinity above 88.7; NaN stays NaN.

   x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series to the 7th power, 2^n by its exponent. Cody and Waite
   1980 split ln 2 in two, so that r keeps all its digits. */
static inline vec vexp(vec x) {
    const vec magic = every(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number, which stands in the low bits */
    ivec low = x < every(-87.33654f), high = x > every(88.72283f);
    vec y = choose(low | high, every(0.0f), x);
    vec shifted = y * every(1.44269504f) + magic;
    vec n = shifted - magic;
    vec r = y - n * every(0.693359375f);
    r = r + n * every(2.12194440e-4f);
    vec p = every(1.0f / 5040.0f);
    p = p * r + every(1.0f / 720.0f);
    p = p * r + every(1.0f / 120.0f);
    p = p * r + every(1.0f / 24.0f);
    p = p * r + every(1.0f / 6.0f);
    p = p * r + every(0.5f);
    p = p * r + every(1.0f);
    p = p * r + every(1.0f);
    /* In two steps: 2^128 is no float32, yet e^88.7 is. */
    ivec exponent = ((ivec)shifted - (ivec)magic);
    ivec half = exponent >> 1;
    vec scaled = p * (vec)((half + 127) << 23) * (vec)((exponent - half + 127) << 23);
    scaled = choose(low, every(0.0f), scaled);
    return choose(high, every(__builtin_inff()), scaled);
}

static inline vec vsigmoid(vec x) { return every(1.0f) / (every(1.0f) + vexp(-x)); }

/* x p(x^2) / q(x^2), to some 3e-7 of itself; beyond 7.9 it is 1 to the last digit. The coefficients are those of Eigen's
   generic_fast_tanh_float (MathFunctionsImpl.h), a minimax fit. */
static inline vec vtanh(vec x) {
    const vec bound = every(7.90531110763549805f);
    vec y = choose(x > bound, bound, x);
    y = choose(y < -bound, -bound, y);
    vec s = y * y;
    vec p = every(-2.76076847742355e-16f);
    p = p * s + every(2.00018790482477e-13f);
    p = p * s + every(-8.60467152213735e-11f);
    p = p * s + every(5.12229709037114e-08f);
    p = p * s + every(1.48572235717979e-05f);
    p = p * s + every(6.37261928875436e-04f);
    p = p * s + every(4.89352455891786e-03f);
    vec q = every(1.19825839466702e-06f);
    q = q * s + every(1.18534705686654e-04f);
    q = q * s + every(2.26843463243900e-03f);
    q = q * s + every(4.89352518554385e-03f);
    return y * p / q;
}

#endif
