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

#define INLINE static inline __attribute__((always_inline))

/* Of loops whose sums stay in registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));

INLINE vec load(const float *from) {
    vec x;
    memcpy(&x, from, sizeof x); /* from any address */
    return x;
}

INLINE void store(float *to, vec x) { memcpy(to, &x, sizeof x); }

INLINE vec every(float x) { return x - (vec){0}; }

/* a where the mask is all ones, b where it is 0. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* 2^x for x up to 0; 0 below -126. Polynomial: Cephes exp2f (Moshier 1992). */
INLINE vec vexp2(vec x) {
    const vec shift = every(12582912.0f); /* 1.5 * 2^23: what is added to it is rounded to a whole number */
    vec moved = x + shift;
    vec f = x - (moved - shift);
    vec y = every(1.535336188319500e-4f);
    y = y * f + 1.339887440266574e-3f;
    y = y * f + 9.618437357674640e-3f;
    y = y * f + 5.550332471162809e-2f;
    y = y * f + 2.402264791363012e-1f;
    y = y * f + 6.931472028550421e-1f;
    y = y * f + 1.0f;
    y *= (vec)(((uvec)moved << 23) + 0x3f800000u); /* whatever it is where x is too small */
    return (vec)((ivec)y & ~(x < -126.0f));
}

/* x p(x^2) / q(x^2), to some 3e-7 of itself; beyond 7.9 it is 1 to the last digit. The coefficients are those of Eigen's
   generic_fast_tanh_float (MathFunctionsImpl.h), a minimax fit. */
INLINE vec vtanh(vec x) {
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

/* Exact to 2e-7, not to 2e-7 of itself: what it lets pass of nothing is nothing. */
INLINE vec vsigmoid(vec x) { return every(0.5f) + every(0.5f) * vtanh(every(0.5f) * x); }

/* n filled up to whole vectors. */
INLINE int64_t filled(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
