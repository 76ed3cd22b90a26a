/* The functions of vectors.h over whole arrays, in place: what the tests of their accuracy call. */

#include "vectors.h"

#define OVER(name, function)                                                                                           \
    EXPORT int NAME(name)(float *x, int64_t count) {                                                                   \
        int64_t at = 0;                                                                                                \
        for (; at + LANES <= count; at += LANES) {                                                                     \
            store(x + at, function(load(x + at)));                                                                     \
        }                                                                                                              \
        if (at < count) {                                                                                              \
            vec rest = every(0.0f);                                                                                    \
            memcpy(&rest, x + at, (size_t)(count - at) * sizeof(float));                                               \
            rest = function(rest);                                                                                     \
            memcpy(x + at, &rest, (size_t)(count - at) * sizeof(float));                                               \
        }                                                                                                              \
        return 0;                                                                                                      \
    }

OVER(exp2, vexp2)
OVER(sigmoid, vsigmoid)
OVER(tanh, vtanh)
