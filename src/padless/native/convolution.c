/* Of convolutions along rows: steps into a buffer with zeros between the rows, and the gradient of the kernel. */

#include "vectors.h"

/* Windows at a time: what they see of ACROSS features, and WIDE vectors of their gradients, stay in the first cache. */
#define STEPS 128
#define MOST_SLOTS 1024
#define WIDE 2
#define WIDTH (WIDE * LANES)
/* ACROSS * WIDE sums stay in registers: AVX2 has 16 of these, AVX-512 and NEON 32. */
#if LANES == 8
#define ACROSS 6
#else
#define ACROSS 8
#endif

/* The step that stands at a slot, below 0 for zeros; without a source, slots are steps. */
static inline int64_t step_at(const int64_t *source, int64_t slot) { return source ? source[slot] : slot; }

/* Slots first to last of (slots, width): the step that stands there, or zeros. Where `above` is
   given (of the shape of `from`), numbers pass only where it is above 0 or NaN. `sums`, where given, is (2, width): the
   sum over these slots goes to the first half; the second holds that of a block, so that long sums keep their digits. */
EXPORT int NAME(spread)(const float *from, const float *above, const int64_t *source, float *to, float *sums,
                        int64_t first, int64_t last, int64_t width) {
    float *block = sums + width;
    if (sums) {
        memset(sums, 0, 2 * (size_t)width * sizeof(float));
    }
    for (int64_t slot = first; slot < last; slot++) {
        int64_t step = step_at(source, slot);
        float *row = to + slot * width;
        if (step < 0) {
            memset(row, 0, (size_t)width * sizeof(float));
        } else if (!above) {
            memcpy(row, from + step * width, (size_t)width * sizeof(float));
        } else {
            const float *given = from + step * width, *sign = above + step * width;
            for (int64_t at = 0; at < width; at++) {
                row[at] = sign[at] <= 0.0f ? 0.0f : given[at];
            }
        }
        if (sums && step >= 0) {
            for (int64_t at = 0; at < width; at++) {
                block[at] += row[at];
            }
        }
        if (sums && ((slot - first) % STEPS == STEPS - 1 || slot == last - 1)) {
            for (int64_t at = 0; at < width; at++) {
                sums[at] += block[at];
                block[at] = 0.0f;
            }
        }
    }
    return 0;
}

/* (count, ACROSS) seen, with `apart` numbers from one row to the next, and (count, WIDTH) gradients: their products
   summed over count are added to (ACROSS, WIDTH) of out, which has `pitch` numbers from one row to the next. */
static void add_products(const float *seen, int64_t apart, const float *gradients, int64_t count, float *out,
                         int64_t pitch) {
    vec sums[ACROSS][WIDE];
    for (int a = 0; a < ACROSS; a++) {
        for (int w = 0; w < WIDE; w++) {
            sums[a][w] = load(out + a * pitch + w * LANES);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        vec given[WIDE];
        for (int w = 0; w < WIDE; w++) {
            given[w] = load(gradients + i * WIDTH + w * LANES);
        }
        for (int a = 0; a < ACROSS; a++) {
            for (int w = 0; w < WIDE; w++) {
                sums[a][w] += seen[i * apart + a] * given[w];
            }
        }
    }
    for (int a = 0; a < ACROSS; a++) {
        for (int w = 0; w < WIDE; w++) {
            store(out + a * pitch + w * LANES, sums[a][w]);
        }
    }
}

/* (slots, ACROSS) of what stands in the buffer from slot `from` and feature `first` on; zeros beyond the last feature. */
static void pack_seen(const float *x, const int64_t *source, int64_t from, int64_t slots, int64_t first,
                      int64_t features, float *to) {
    size_t size = (size_t)(features - first < ACROSS ? features - first : ACROSS) * sizeof(float);
    if (size < ACROSS * sizeof(float)) {
        memset(to, 0, (size_t)slots * ACROSS * sizeof(float));
    }
    for (int64_t slot = 0; slot < slots; slot++) {
        int64_t step = step_at(source, from + slot);
        if (step < 0) {
            memset(to + slot * ACROSS, 0, ACROSS * sizeof(float));
        } else if (size == ACROSS * sizeof(float)) {
            memcpy(to + slot * ACROSS, x + step * features + first, ACROSS * sizeof(float));
        } else {
            memcpy(to + slot * ACROSS, x + step * features + first, size);
        }
    }
}

/* The sum over all windows of (what a tap sees) times (the gradient of the output), for every tap: one of `parts` equal
   parts of the features.

   x (N, features), source as above, gradients (windows, filters), zero for windows of no row. out is (taps, features
   + ACROSS - 1 or more, pitch), pitch filters rounded up to WIDTH; scratch has room for STEPS * pitch numbers. Gives 1,
   and nothing is done, where STEPS windows see more than MOST_SLOTS slots. */
EXPORT int NAME(kernel_gradient)(const float *x, const int64_t *source, const float *gradients, float *out,
                                 float *scratch, int64_t windows, int64_t features, int64_t filters, int64_t taps,
                                 int64_t stride, int64_t dilation, int64_t rows, int64_t pitch, int64_t part,
                                 int64_t parts) {
    float seen[MOST_SLOTS * ACROSS];
    int64_t tiles = (features + ACROSS - 1) / ACROSS, span = (taps - 1) * dilation + 1;
    int64_t first = tiles * part / parts, last = tiles * (part + 1) / parts;
    if ((STEPS - 1) * stride + span > MOST_SLOTS) {
        return 1;
    }
    for (int64_t tap = 0; tap < taps; tap++) {
        size_t count = (size_t)((last - first) * ACROSS * pitch);
        memset(out + (tap * rows + first * ACROSS) * pitch, 0, count * sizeof(float));
    }
    for (int64_t at = 0; at < windows; at += STEPS) {
        int64_t count = windows - at < STEPS ? windows - at : STEPS;
        for (int64_t w = 0; w < filters; w += WIDTH) {
            size_t size = (size_t)(filters - w < WIDTH ? filters - w : WIDTH) * sizeof(float);
            for (int64_t i = 0; i < count; i++) {
                float *to = scratch + (w * STEPS) + i * WIDTH;
                if (size == WIDTH * sizeof(float)) {
                    memcpy(to, gradients + (at + i) * filters + w, WIDTH * sizeof(float));
                } else {
                    memset(to, 0, WIDTH * sizeof(float));
                    memcpy(to, gradients + (at + i) * filters + w, size);
                }
            }
        }
        for (int64_t tile = first; tile < last; tile++) {
            pack_seen(x, source, at * stride, (count - 1) * stride + span, tile * ACROSS, features, seen);
            for (int64_t w = 0; w < filters; w += WIDTH) {
                for (int64_t tap = 0; tap < taps; tap++) {
                    add_products(seen + tap * dilation * ACROSS, stride * ACROSS, scratch + w * STEPS, count,
                                 out + (tap * rows + tile * ACROSS) * pitch + w, pitch);
                }
            }
        }
    }
    return 0;
}

/* The same where features do not meet: (taps, features) of out, for features first to last. */
EXPORT int NAME(each_gradient)(const float *x, const int64_t *source, const float *gradients, float *out,
                               int64_t windows, int64_t features, int64_t taps, int64_t stride, int64_t dilation,
                               int64_t first, int64_t last) {
    for (int64_t tap = 0; tap < taps && first < last; tap++) {
        memset(out + tap * features + first, 0, (size_t)(last - first) * sizeof(float));
    }
    for (int64_t from = 0; from < windows; from += STEPS) {
        int64_t to = windows - from < STEPS ? windows : from + STEPS;
        for (int64_t at = first; at < last; at += LANES) {
            size_t size = (size_t)(last - at < LANES ? last - at : LANES) * sizeof(float);
            for (int64_t tap = 0; tap < taps; tap++) {
                vec sum = every(0.0f), seen = sum, given = sum;
                for (int64_t window = from; window < to; window++) {
                    int64_t step = step_at(source, window * stride + tap * dilation);
                    if (step < 0) {
                        continue;
                    }
                    if (size == sizeof sum) {
                        seen = load(x + step * features + at);
                        given = load(gradients + window * features + at);
                    } else {
                        memcpy(&seen, x + step * features + at, size);
                        memcpy(&given, gradients + window * features + at, size);
                    }
                    sum += seen * given;
                }
                float *place = out + tap * features + at;
                if (size == sizeof sum) {
                    store(place, load(place) + sum);
                } else {
                    memcpy(&seen, place, size);
                    sum += seen;
                    memcpy(place, &sum, size);
                }
            }
        }
    }
    return 0;
}
