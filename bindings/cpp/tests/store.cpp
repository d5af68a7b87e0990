/* store.cpp: what larder.hpp adds to the ABI: who closes what, moves, iterators, exceptions, noexcept. */
#include "larder.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <type_traits>
#include <unistd.h>

namespace {

int passed, failed;
std::string scratch;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            good = false; \
        } \
    } while (0)

using test = void (*)(bool &good, const std::string &location);

larderpp::options quick() {
    return larderpp::options().set("sync", "none");
}

/* Nothing can be copied, everything can be moved without throwing. */
template <typename T> constexpr bool move_only =
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>;
static_assert(move_only<larderpp::store> && move_only<larderpp::options> && move_only<larderpp::cursor> && move_only<larderpp::view>);
static_assert(std::is_base_of_v<std::exception, larderpp::error> && std::is_nothrow_copy_constructible_v<std::exception>);
static_assert(noexcept(std::declval<larderpp::store &>().try_set("", "")) && noexcept(std::declval<larderpp::cursor &>().try_next()));

void a_store_is_closed_by_its_end_also_when_an_exception_passes(bool &good, const std::string &location) {
    try {
        larderpp::store db(location, quick());
        db.set("k", "v");
        throw 1;
    } catch (int) {
    }
    larderpp::store again(location); // would be busy
    CHECK(again.get("k") == "v");
}

void a_moved_store_is_the_same_store(bool &good, const std::string &location) {
    larderpp::store first(location, quick());
    first.set("k", "v");
    larderpp::store second = std::move(first);
    CHECK(second.get("k") == "v");
    CHECK(first.get() == nullptr);
    CHECK(first.try_set("k", "w") == LARDER_INVALID_ARGUMENT);
    larderpp::store third(location + "-other", quick());
    third = std::move(second);
    CHECK(third.get("k") == "v");
}

void a_failure_is_one_exception_with_all_that_is_known(bool &good, const std::string &location) {
    try {
        larderpp::store db(location + "/missing/store");
        CHECK(!"opened");
    } catch (const larderpp::error &failure) {
        CHECK(failure.status() == LARDER_IO && failure.os_errno() == 2);
        CHECK(std::string(failure.what()).find("LARDER_IO: ") == 0);
        CHECK(std::string(failure.message()).find("missing/store") != std::string::npos);
    }
    try {
        larderpp::store db(std::string("a\0b", 3));
        CHECK(!"opened");
    } catch (const std::exception &failure) {
        CHECK(std::string(failure.what()).find("NUL") != std::string::npos);
    }
}

void a_closed_store_throws_and_closes_once(bool &good, const std::string &location) {
    larderpp::store db(location, quick());
    db.close();
    for (const bool close : {true, false}) {
        try {
            close ? db.close() : db.set("k", "v");
            CHECK(!"taken");
        } catch (const larderpp::error &failure) {
            CHECK(failure.status() == LARDER_CLOSED);
        }
    }
}

void views_and_cursors_outlive_their_store_and_can_be_moved(bool &good, const std::string &location) {
    larderpp::view kept;
    std::optional<larderpp::cursor> walk;
    {
        larderpp::store db(location, quick());
        db.set("k", "pinned");
        db.set("l", "v");
        kept = std::move(*db.view("k"));
        walk.emplace(db.scan());
        CHECK(walk->next());
        larderpp::cursor moved = std::move(*walk);
        CHECK(moved.next() && !moved.next() && !moved.next());
        walk.emplace(db.scan("k"));
        db.erase("k");
        CHECK(db.stats().pinned_views == 1);
    }
    CHECK(kept.bytes() == "pinned" && std::string_view(kept).size() == 6 && kept.version() > 0 && kept.expires_at_ms() == 0);
    larder_error err;
    CHECK(walk->try_next(&err) == LARDER_CLOSED && err.status == LARDER_CLOSED);
    kept.release();
    kept.release();
    CHECK(kept.size() == 0);
}

void a_range_loop_sees_every_pair_and_can_be_left_early(bool &good, const std::string &location) {
    larderpp::store db(location, quick());
    for (int n = 0; n < 100; n++) db.set("key:" + std::to_string(n), std::to_string(n));
    int count = 0, sum = 0;
    for (const auto &[key, value] : db.scan("key:")) {
        CHECK(key.substr(4) == value);
        sum += std::stoi(std::string(value));
        count++;
    }
    CHECK(count == 100 && sum == 4950);
    for (const auto &pair : db.scan()) {
        CHECK(!pair.first.empty());
        break;
    }
    for (const auto &pair : db.scan("none")) CHECK(pair.first.empty());
}

void a_refused_batch_stays_as_it_is(bool &good, const std::string &location) {
    larderpp::store db(location, quick());
    larderpp::batch ops;
    ops.set("a", "1").set("b", "2", std::chrono::hours(1)).erase("none").set(std::string(65536, 'k'), "");
    try {
        db.write(ops);
        CHECK(!"written");
    } catch (const larderpp::error &failure) {
        CHECK(failure.status() == LARDER_TOO_LARGE);
    }
    CHECK(ops.size() == 4 && !db.contains("a"));
    ops.clear();
    ops.set("a", "1");
    db.write(ops, true);
    CHECK(ops.empty() && db.contains("a"));
}

void threads_share_a_store(bool &good, const std::string &location) {
    larderpp::store db(location, quick());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++)
        threads.emplace_back([&db, t] {
            for (int n = 0; n < 500; n++) db.set(std::to_string(t) + "/" + std::to_string(n), std::to_string(n));
        });
    for (auto &thread : threads) thread.join();
    CHECK(db.size() == 2000);
    std::vector<std::string> names;
    for (int n = 0; n < 500; n++) names.push_back("3/" + std::to_string(n));
    const auto values = db.get_many({names.begin(), names.end()});
    for (int n = 0; n < 500; n++) CHECK(values[static_cast<std::size_t>(n)] == std::to_string(n));
}

void a_damaged_store_is_salvaged_and_the_loss_told(bool &good, const std::string &location) {
    larderpp::store db(location, quick());
    for (int n = 0; n < 20; n++) db.set("key " + std::to_string(n), std::string(300, static_cast<char>('a' + n)));
    bool is_busy = false;
    try {
        larderpp::salvage(location, location + "-saved");
    } catch (const larderpp::error &failure) {
        is_busy = failure.status() == LARDER_BUSY;
    }
    CHECK(is_busy);
    db.close();
    int spoilt = 0;
    for (const auto &entry : std::filesystem::directory_iterator(location)) {
        std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
        const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        const std::size_t at = bytes.find(std::string(300, 'd'));
        if (at == std::string::npos) continue;
        file.clear();
        file.seekp(static_cast<std::streamoff>(at)).put('x');
        spoilt++;
    }
    CHECK(spoilt == 1);
    const larderpp::salvaged done = larderpp::salvage(location, location + "-saved");
    CHECK(done.report.keys == 19 && done.report.losses == 1 && done.report.has_whole_manifest == 1);
    CHECK(done.losses.find("\t\"key 3\"\t-\t") != std::string::npos);
    const larderpp::store saved(location + "-saved");
    CHECK(saved.size() == 19 && !saved.contains("key 3") && saved.get("key 4") == std::string(300, 'e'));
}

const struct {
    const char *name;
    test run;
} tests[] = {
#define TEST(function) {#function, function}
    TEST(a_store_is_closed_by_its_end_also_when_an_exception_passes),
    TEST(a_moved_store_is_the_same_store),
    TEST(a_failure_is_one_exception_with_all_that_is_known),
    TEST(a_closed_store_throws_and_closes_once),
    TEST(views_and_cursors_outlive_their_store_and_can_be_moved),
    TEST(a_range_loop_sees_every_pair_and_can_be_left_early),
    TEST(a_refused_batch_stays_as_it_is),
    TEST(threads_share_a_store),
    TEST(a_damaged_store_is_salvaged_and_the_loss_told),
};

} // namespace

int main() {
    char name[] = "/tmp/larder-cpp-XXXXXX";
    if (mkdtemp(name) == nullptr) return 2;
    scratch = name;
    for (const auto &each : tests) {
        bool good = true;
        try {
            each.run(good, scratch + "/" + each.name);
        } catch (const std::exception &failure) {
            std::printf("%s\n", failure.what());
            good = false;
        }
        std::printf("%s %s\n", good ? "ok  " : "FAIL", each.name);
        good ? passed++ : failed++;
    }
    std::filesystem::remove_all(scratch);
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
