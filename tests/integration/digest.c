/* Prints the XXH3-128 of standard input as manifests write it, for tests that write manifests. */
#include <stdio.h>

#include "engine/format/digest.h"

int main(void)
{
    static char bytes[1 << 20];
    char text[PST_DIGEST_TEXT_BYTES];
    size_t count = fread(bytes, 1, sizeof(bytes), stdin);
    if (!feof(stdin)) {
        fprintf(stderr, "digest: more than %zu bytes, or unreadable\n", sizeof(bytes));
        return 1;
    }
    struct pst_digest digest = pst_digest_of(bytes, count, 0);
    printf("%s\n", pst_digest_text(&digest, text));
    return ferror(stdout) ? 1 : 0;
}
