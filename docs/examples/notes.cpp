/*
 * A C++ program that backs up its own table of strings while a thread of it keeps writing it.
 *
 *     c++ -std=c++17 notes.cpp $(pkg-config --cflags --libs penstock) -pthread -o notes
 *     ./notes DIRECTORY           # of the backups; and DIRECTORY/restored
 *
 * The table is a set of shards, each held by a shared_ptr: the snapshot is a copy of the pointers,
 * and the writer replaces a shard by a copy before it changes one that a snapshot holds too. Write
 * number n follows from n, so that at the end the restored table can be compared with what writes
 * 1 … n make, n being the last one before the cut.
 */
#include <penstock/penstock.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

constexpr std::size_t shards_count = 64;
constexpr std::size_t shard_notes = 2048;

using Shard = std::vector<std::string>; /* shard_notes of them */

class Table : public pst_source
{
  public:
    Table() : pst_source()
    {
        struct_bytes = sizeof(pst_source);
        abi_version = PST_SOURCE_ABI_VERSION;
        pst_source::flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM;
        root_fd = -1;
        type = "notes";
        std::strcpy(name, "notes");
        /* Whoever writes holds the lock for a moment only; else this would have to give up in time.
         */
        freeze = [](pst_source *source, std::uint64_t) {
            self(source).hold_up(true);
            return 0;
        };
        snapshot = [](pst_source *source, std::uint64_t) {
            return guarded([&] {
                Table &table = self(source);
                const std::lock_guard<std::mutex> hold(table.lock);
                table.pinned = table.shards;
                table.cut = table.writes;
            });
        };
        thaw = [](pst_source *source) { self(source).hold_up(false); };
        release = [](pst_source *source) { self(source).unpin(); };
        list = [](pst_source *source, pst_fragment_sink *sink, pst_source_listing *listing) {
            return self(source).list_shards(*sink, *listing);
        };
        produce = [](pst_source *source, const pst_fragment_descriptor *fragment,
                     pst_row_cursor *cursor, void *buffer, std::size_t capacity_bytes,
                     std::size_t *produced_bytes) {
            return guarded([&] {
                *produced_bytes = self(source).make_rows(
                    *fragment, *cursor, static_cast<char *>(buffer), capacity_bytes);
            });
        };
        for (auto &shard : shards)
            shard = std::make_shared<Shard>(shard_notes);
    }

    /* Write number writes + 1. */
    void write()
    {
        std::unique_lock<std::mutex> hold(lock);
        thawed.wait(hold, [this] { return !is_frozen; });
        std::uint64_t draw = ++writes * UINT64_C(0x9E3779B97F4A7C15);
        draw ^= draw >> 29;
        auto &shard = shards[draw % shards_count];
        if (shard.use_count() > 1)
            shard = std::make_shared<Shard>(*shard);
        (*shard)[draw / shards_count % shard_notes] =
            "note " + std::to_string(writes) + std::string(draw >> 59, '.');
    }

    std::uint64_t writes_at_cut() const
    {
        return cut;
    }

    std::string text() const
    {
        std::string all;
        for (const auto &shard : shards)
            for (const auto &note : *shard)
                all += note + '\n';
        return all;
    }

  private:
    static Table &self(pst_source *source)
    {
        return *static_cast<Table *>(source);
    }

    /* No exception may leave a method: its caller is C. */
    template <typename Body> static int guarded(Body body)
    {
        try {
            body();
            return 0;
        } catch (const std::bad_alloc &) {
            return -ENOMEM;
        }
    }

    static std::uint64_t bytes_of(const Shard &shard)
    {
        std::uint64_t bytes = 0;
        for (const auto &note : shard)
            bytes += note.size() + 1;
        return bytes;
    }

    /* A fragment for each shard; all are runs of one object. */
    int list_shards(pst_fragment_sink &sink, pst_source_listing &listing)
    {
        std::uint64_t total = 0, offset = 0;
        for (const auto &shard : pinned)
            total += bytes_of(*shard);
        for (std::size_t i = 0; i < shards_count; i++) {
            pst_fragment_descriptor *fragment;
            int error = sink.acquire(&sink, &fragment);
            const std::uint64_t bytes = bytes_of(*pinned[i]);
            if (!error)
                error = fill(*fragment, total, offset, bytes, pinned[i].get());
            if (!error)
                error = sink.emit(&sink, fragment);
            if (error)
                return error;
            offset += bytes;
            listing.fragments++;
            listing.bytes += bytes;
        }
        listing.objects = 1;
        return 0;
    }

    /* literal is ours to use where the bytes come from produce: here, which shard it is. */
    int fill(pst_fragment_descriptor &fragment, std::uint64_t total, std::uint64_t offset,
             std::uint64_t bytes, const Shard *shard)
    {
        pst_object object{};
        object.id = pst_source_object_id(this, 1);
        object.type = PST_OBJECT_TABLE;
        object.path = "notes";
        object.size = total;
        object.mode = 0600;
        pst_fragment_file file{};
        file.object = object.id;
        file.size_bytes = total;
        char entry[512];
        std::size_t entry_bytes = 0;
        int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
        if (error)
            return error;
        pst_fragment_init(&fragment, PST_FRAGMENT_ROWS);
        error = pst_fragment_add_entry(&fragment, entry, entry_bytes, offset == 0);
        if (!error)
            error = pst_fragment_add_file(&fragment, &file);
        return error ? error : pst_fragment_add_extent(&fragment, offset, bytes, shard);
    }

    /* cursor: words[0] the next note, words[1] how much of it is made. Reads what is pinned, which
     * nobody writes: no lock. */
    std::size_t make_rows(const pst_fragment_descriptor &fragment, pst_row_cursor &cursor,
                          char *buffer, std::size_t capacity_bytes)
    {
        const auto held = pin_of(fragment.extents[0].literal);
        if (!held)
            return 0; /* the backup was given up */
        const Shard &shard = *held;
        std::size_t made = 0;
        while (made < capacity_bytes && cursor.words[0] < shard_notes) {
            const std::string row = shard[cursor.words[0]] + '\n';
            const std::size_t bytes =
                row.copy(buffer + made, capacity_bytes - made, cursor.words[1]);
            made += bytes;
            cursor.words[1] += bytes;
            if (cursor.words[1] < row.size())
                break;
            cursor.words[0]++;
            cursor.words[1] = 0;
        }
        return made;
    }

    /* Its own, for release may come beside a produce that took too long. */
    std::shared_ptr<const Shard> pin_of(const void *shard)
    {
        const std::lock_guard<std::mutex> hold(lock);
        for (const auto &pin : pinned)
            if (pin.get() == shard)
                return pin;
        return nullptr;
    }

    void hold_up(bool writers)
    {
        const std::lock_guard<std::mutex> hold(lock);
        is_frozen = writers;
        thawed.notify_all();
    }

    void unpin()
    {
        const std::lock_guard<std::mutex> hold(lock);
        for (auto &shard : pinned)
            shard.reset();
    }

    std::mutex lock; /* of all below */
    std::condition_variable thawed;
    bool is_frozen = false; /* writers wait */
    std::vector<std::shared_ptr<Shard>> shards = std::vector<std::shared_ptr<Shard>>(shards_count);
    std::uint64_t writes = 0;
    std::vector<std::shared_ptr<Shard>> pinned = shards; /* the snapshot */
    std::uint64_t cut = 0;
};

void must(int error, const char *what, const char *message)
{
    if (error)
        throw std::runtime_error(std::string(what) + ": " +
                                 (message[0] ? message : pst_error_text(error)));
}

void back_up(Table &table, const std::string &directory)
{
    std::atomic<bool> must_stop{false};
    std::thread writer([&] {
        while (!must_stop)
            table.write();
    });
    pst_source *const sources[] = {&table};
    pst_backup_job job;
    pst_backup_outcome outcome;
    pst_backup_job_init(&job);
    pst_backup_outcome_init(&outcome);
    job.directory = directory.c_str();
    job.sources = sources;
    job.sources_count = 1;
    job.run.ldms = 2;
    const int error = pst_run_backup(&job, &outcome);
    must_stop = true;
    writer.join();
    must(error, "backup", outcome.message);
    std::cout << "backup " << outcome.number << " has " << table.writes_at_cut() << " writes\n";
}

void verify(const std::string &directory)
{
    pst_verify_job job;
    pst_verify_outcome outcome;
    pst_verify_job_init(&job);
    pst_verify_outcome_init(&outcome);
    job.directory = directory.c_str();
    must(pst_run_verify(&job, &outcome), "verify", outcome.message);
}

std::string restore(const std::string &directory, const std::string &target)
{
    pst_restore_job job;
    pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = directory.c_str();
    job.target = target.c_str();
    must(pst_run_restore(&job, &outcome), "restore", outcome.message);
    std::ifstream file(target + "/notes", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void run(const std::string &directory)
{
    const auto table = std::make_unique<Table>();
    back_up(*table, directory);
    verify(directory);
    const std::string restored = restore(directory, directory + "/restored");
    Table expected;
    for (std::uint64_t i = 0; i < table->writes_at_cut(); i++)
        expected.write();
    if (restored != expected.text())
        throw std::runtime_error("the restored state is not the state at the cut");
    std::cout << "restored, and as it was at the cut\n";
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::cerr << "usage: notes DIRECTORY\n";
        return 2;
    }
    try {
        pst_log_set_level(PST_LOG_WARNING);
        run(argv[1]);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "notes: " << error.what() << '\n';
        return 1;
    }
}
