/* What a file is known by. Called by dir_list.c, on the source's thread. */
#include "engine/source/dir/identity.h"

bool identity_find(struct pst_fragment_sink *sink, dev_t device, const struct stat *status,
                   const struct pst_object *object, struct attributes *attributes,
                   struct pst_fragment_file *file)
{
    const struct pst_object_identity identity = {
        .device = device,
        .inode = status->st_ino,
        .ctime_sec = status->st_ctim.tv_sec,
        .ctime_nsec = (uint32_t)status->st_ctim.tv_nsec,
    };
    uint64_t place, data_bytes;
    if (!sink->find_in_base)
        return false;
    attributes->bytes +=
        pst_object_identity_encode(&identity, attributes->encoded + attributes->bytes);
    if (!sink->find_in_base(sink, object, &identity, &place, &data_bytes))
        return false;
    attributes->bytes +=
        pst_object_data_encode(data_bytes, attributes->encoded + attributes->bytes);
    *file = (struct pst_fragment_file){.inode = place, .flags = PST_FRAGMENT_FILE_IN_BASE};
    return true;
}
