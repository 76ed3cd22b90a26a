/* The largest step of each row, feature by feature. */

#include "vectors.h"

/* Of one row, steps begin to end, BESIDE vectors of features: as below. */
#define BESIDE 4

static void row_max_tile(const float *x, int64_t begin, int64_t end, int64_t width, float *largest, float *ties) {
    const vec one = every(1.0f);
    vec most[BESIDE], count[BESIDE];
    for (int w = 0; w < BESIDE; w++) {
        most[w] = load(x + begin * width + w * LANES);
        count[w] = one;
    }
    for (int64_t step = begin + 1; step < end; step++) {
        for (int w = 0; w < BESIDE; w++) {
            vec value = load(x + step * width + w * LANES);
            ivec larger = (value > most[w]) | (value != value);
            count[w] = choose(larger, one, choose(value == most[w], count[w] + one, count[w]));
            most[w] = choose(larger, value, most[w]);
        }
    }
    for (int w = 0; w < BESIDE; w++) {
        store(largest + w * LANES, most[w]);
        store(ties + w * LANES, count[w]);
    }
}

/* x (N, width), splits (nrows + 1). For features first to last of every row: the largest number, and how many steps
   reach it; 0 and 1 for an empty row. NaN is larger than any number. */
EXPORT int NAME(row_max)(const float *x, const int64_t *splits, float *largest, float *ties, int64_t nrows,
                         int64_t width, int64_t first, int64_t last) {
    for (int64_t row = 0; row < nrows; row++) {
        float *most = largest + row * width, *count = ties + row * width;
        int64_t begin = splits[row], end = splits[row + 1], at = first;
        for (; begin < end && at + BESIDE * LANES <= last; at += BESIDE * LANES) {
            row_max_tile(x + at, begin, end, width, most + at, count + at);
        }
        for (; at < last; at++) {
            most[at] = begin < end ? x[begin * width + at] : 0.0f;
            count[at] = 1.0f;
            for (int64_t step = begin + 1; step < end; step++) {
                float value = x[step * width + at];
                int larger = value > most[at] || value != value;
                count[at] = larger ? 1.0f : value == most[at] ? count[at] + 1.0f : count[at];
                most[at] = larger ? value : most[at];
            }
        }
    }
    return 0;
}

/* What comes back by `largest` (nrows, width), shared equally among the steps that reach it. */
EXPORT int NAME(row_max_gradient)(const float *x, const int64_t *splits, const float *largest, const float *ties,
                                  const float *given, float *out, int64_t nrows, int64_t width, int64_t first,
                                  int64_t last) {
    for (int64_t row = 0; row < nrows; row++) {
        const float *most = largest + row * width, *count = ties + row * width, *whole = given + row * width;
        for (int64_t step = splits[row]; step < splits[row + 1]; step++) {
            for (int64_t at = first; at < last; at++) {
                out[step * width + at] = x[step * width + at] == most[at] ? whole[at] / count[at] : 0.0f;
            }
        }
    }
    return 0;
}

/* The step under each of the taps of a window: (windows, taps), `count` where a tap sees nothing. x (count, width). For
   features first to last of every window: the largest number, 0 where it sees nothing, and how many taps see it. */
EXPORT int NAME(window_max)(const float *x, const int64_t *steps, float *largest, float *ties, int64_t windows,
                            int64_t taps, int64_t count, int64_t width, int64_t first, int64_t last) {
    const vec one = every(1.0f), lowest = every(-__builtin_inff());
    for (int64_t window = 0; window < windows; window++) {
        const int64_t *under = steps + window * taps;
        int64_t at = first, seen = 0;
        for (int64_t tap = 0; tap < taps; tap++) {
            seen += under[tap] < count;
        }
        for (; at < last; at += LANES) {
            vec most = lowest, reached = every(0.0f), value = most;
            size_t size = (size_t)(last - at < LANES ? last - at : LANES) * sizeof(float);
            for (int64_t tap = 0; tap < taps; tap++) {
                if (under[tap] < count) {
                    const float *here = x + under[tap] * width + at;
                    if (size == sizeof value) {
                        value = load(here);
                    } else {
                        memcpy(&value, here, size);
                    }
                    ivec larger = (value > most) | (value != value);
                    reached = choose(larger, one, choose(value == most, reached + one, reached));
                    most = choose(larger, value, most);
                }
            }
            most = seen ? most : every(0.0f);
            reached = seen ? reached : one;
            if (size == sizeof value) {
                store(largest + window * width + at, most);
                store(ties + window * width + at, reached);
            } else {
                memcpy(largest + window * width + at, &most, size);
                memcpy(ties + window * width + at, &reached, size);
            }
        }
    }
    return 0;
}

/* What comes back by `largest` (windows, width), shared equally among the taps that see it: added to out, which is 0 at
   first. */
EXPORT int NAME(window_max_gradient)(const float *x, const int64_t *steps, const float *largest, const float *ties,
                                     const float *given, float *restrict out, int64_t windows, int64_t taps,
                                     int64_t count, int64_t width, int64_t first, int64_t last) {
    for (int64_t window = 0; window < windows; window++) {
        const float *most = largest + window * width, *reached = ties + window * width, *whole = given + window * width;
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t step = steps[window * taps + tap];
            for (int64_t at = first; step < count && at < last; at++) {
                out[step * width + at] += x[step * width + at] == most[at] ? whole[at] / reached[at] : 0.0f;
            }
        }
    }
    return 0;
}
