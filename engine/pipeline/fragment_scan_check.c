/* Whether the scans of an LDM are in order. For pipeline.c and tests, on the LDM's thread. */
#include <assert.h>

#include "engine/pipeline/scans.h"

static void check_scan(const struct scan *scan)
{
    bool is_over = scan->phase == SCAN_FREE || scan->phase == SCAN_ENDED;
    bool is_quiet = scan->reads == 0 && scan->files == 0;
    assert(!scan->file || (scan->phase == SCAN_EXTENTS && scan->files > 0));
    assert(is_quiet || !(is_over || scan->phase == SCAN_MARKING || scan->phase == SCAN_ENTRIES));
    assert(is_over || scan->extent <= scan->fragment->extents_count);
    assert(is_over || scan->next_file <= scan->fragment->files_count);
}

void fragment_scans_check(const struct fragment_scans *scans, uint32_t reads)
{
    uint32_t own_reads = 0, files = 0;
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        check_scan(&scans->scans[i]);
        own_reads += scans->scans[i].reads;
        files += scans->scans[i].files;
    }
    assert(own_reads == reads);
    assert(files == scan_files_in_use(scans->files));
    scan_files_check(scans->files, reads);
}
