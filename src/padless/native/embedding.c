/* A step of Adam for a table of which a batch looked up some rows, with no gradient of the whole table in between. */

#include "vectors.h"

#define ACROSS 64 /* features at a time: their gradient stays in the nearest cache */

/* The places of each row's number among `ids` (count of them, from 0 to rows - 1), in order: those of row r are
   places[starts[r]] to places[starts[r + 1]]. starts has rows + 1 numbers, all of them 0 before. */
EXPORT int NAME(places_by_row)(const int64_t *ids, int64_t *starts, int64_t *places, int64_t count, int64_t rows) {
    for (int64_t i = 0; i < count; i++) {
        starts[ids[i]]++;
    }
    for (int64_t row = 0, sum = 0; row <= rows; row++) {
        int64_t of_row = starts[row];
        starts[row] = sum;
        sum += of_row;
    }
    for (int64_t i = 0; i < count; i++) {
        places[starts[ids[i]]++] = i;
    }
    for (int64_t row = rows; row > 0; row--) {
        starts[row] = starts[row - 1];
    }
    starts[0] = 0;
    return 0;
}

/* Features of one row, n of them: their gradient is the sum of those at `places`, first to last. */
INLINE void adam(float *restrict w, float *restrict m, float *restrict v, const float *restrict given,
                 const int64_t *restrict places, int64_t first, int64_t last, int64_t width, int64_t n, float rest_1,
                 float rest_2, float size, float epsilon) {
    float gradient[ACROSS] = {0};
    for (int64_t i = first; i < last; i++) {
        const float *one = given + places[i] * width;
        for (int64_t k = 0; k < n; k++) {
            gradient[k] += one[k];
        }
    }
    for (int64_t k = 0; k < n; k++) {
        float g = gradient[k];
        m[k] += (g - m[k]) * rest_1;
        v[k] += (g * g - v[k]) * rest_2;
        w[k] -= size * m[k] / (__builtin_sqrtf(v[k]) + epsilon);
    }
}

/* Rows first to last of table, mean and square (rows, width) are changed; `given` (count, width) is what came back for
   each id. size is the learning rate with both corrections of the start at 0: Keras's form of the rule. */
EXPORT int NAME(adam_by_row)(float *table, float *mean, float *square, const float *given, const int64_t *starts,
                             const int64_t *places, int64_t width, int64_t first, int64_t last, float rest_1,
                             float rest_2, float size, float epsilon) {
    for (int64_t row = first; row < last; row++) {
        int64_t from = 0, here = row * width, begin = starts[row], end = starts[row + 1];
        for (; from + ACROSS <= width; from += ACROSS) {
            adam(table + here + from, mean + here + from, square + here + from, given + from, places, begin, end, width,
                 ACROSS, rest_1, rest_2, size, epsilon);
        }
        adam(table + here + from, mean + here + from, square + here + from, given + from, places, begin, end, width,
             width - from, rest_1, rest_2, size, epsilon);
    }
    return 0;
}
