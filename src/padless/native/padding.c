/* Rows that lie end to end, each copied to a place of its own. */

#include "vectors.h"

/* Of row i, bytes[i] bytes go to out + places[i]. */
EXPORT int NAME(scatter_rows)(const char *from, const int64_t *bytes, const int64_t *places, char *out, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        memcpy(out + places[i], from, (size_t)bytes[i]);
        from += bytes[i];
    }
    return 0;
}
