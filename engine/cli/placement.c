#include "engine/cli/placement.h"

#include <errno.h>

#include "engine/cli/placement_options.h"

enum pst_exit pst_placements_choose(const struct pst_arguments *arguments, const char *path,
                                    struct pst_placements *placements)
{
    char message[PST_MESSAGE_BYTES];
    struct pst_plan_request request = pst_placement_request(arguments);
    int rc = pst_placements_make(&request, path, placements, message);
    if (rc < 0)
        return pst_fail(arguments, rc == -EINVAL ? PST_EXIT_USAGE : PST_EXIT_FAILED, "%s", message);
    return PST_EXIT_DONE;
}
