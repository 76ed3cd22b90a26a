/* The largest step of each row, feature by feature. */

#include "vectors.h"

/* x (N, width), splits (nrows + 1). For features first to last of every row: the largest number, and how many steps
   reach it; 0 and 1 for an empty row. NaN is larger than any number. */
EXPORT int NAME(row_max)(const float *x, const int64_t *splits, float *largest, float *ties, int64_t nrows,
                         int64_t width, int64_t first, int64_t last) {
    for (int64_t row = 0; row < nrows; row++) {
        float *most = largest + row * width, *count = ties + row * width;
        int64_t begin = splits[row], end = splits[row + 1];
        for (int64_t at = first; at < last; at++) {
            most[at] = begin < end ? x[begin * width + at] : 0.0f;
            count[at] = 1.0f;
        }
        for (int64_t step = begin + 1; step < end; step++) {
            const float *here = x + step * width;
            for (int64_t at = first; at < last; at++) {
                float value = here[at], before = most[at];
                int larger = value > before || value != value;
                count[at] = larger ? 1.0f : value == before ? count[at] + 1.0f : count[at];
                most[at] = larger ? value : before;
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
