/* Which level of instructions this processor has, and which sources the library was made of. */

#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

/* By hand: __builtin_cpu_supports always says no in what zig compiles. Bits as in Intel's manual, volume 2, CPUID. */
static int has(unsigned word, unsigned bits) { return (word & bits) == bits; }

static int x86_level(void) {
    unsigned a, b, c, d, state, high;
    /* FMA, MOVBE, OSXSAVE, AVX, F16C: compilers use all that x86-64-v3 names, and virtual machines may hide some. */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29)) {
        return 0;
    }
    __asm__("xgetbv" : "=a"(state), "=d"(high) : "c"(0)); /* which registers the system keeps */
    if (!__get_cpuid(0x80000001u, &a, &b, &c, &d) || !has(c, 1u << 5)) { /* LZCNT */
        return 0;
    }
    /* BMI1, AVX2, BMI2; xmm, ymm */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, 1u << 3 | 1u << 5 | 1u << 8) || !has(state, 6)) {
        return 0;
    }
    /* AVX512 F, DQ, CD, BW, VL; masks and zmm */
    return has(b, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) && has(state, 0xe6) ? 4 : 3;
}
#endif

/* 4: x86-64-v4 (AVX-512), 3: x86-64-v3 (AVX2 and FMA), 1: any other kind of processor, 0: an older x86. */
EXPORT int padless_level(void) {
#if defined(__x86_64__) || defined(_M_X64)
    return x86_level();
#else
    return 1;
#endif
}

EXPORT const char *padless_sources(void) { return SOURCES; }
