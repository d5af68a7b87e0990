/* vectors.cpp: the conformance vectors through larder.hpp. vectors FILE prints "N passed, M failed". */
#include "larder.hpp"

#include "../../../tests/vectors/vectors.h"

#include <algorithm>
#include <map>
#include <memory>

namespace {

std::map<std::string, larderpp::store> stores;
std::map<std::string, larderpp::cursor> cursors;
std::map<std::string, larderpp::view> views;
std::uint64_t last_version;

std::string bytes_of(const json &value) {
    const vectors_bytes bytes = vectors_bytes_of(&value);
    const std::string copy(reinterpret_cast<const char *>(bytes.data), bytes.len);
    free(bytes.data);
    return copy;
}

/* One step: its members by name, and the first thing that was not as it says. */
class run {
public:
    run(const char *directory, const json &step) : directory_(directory), step_(step) {}

    /* The status that the step ends with; failures that are no expected outcome are thrown. */
    larder_status carry_out(const std::string &verb, bool &known) {
        if (verb == "open") return open();
        if (verb == "version" || verb == "status_name") return about(verb);
        if (verb == "cursor_next" || verb == "cursor_close") return cursor(verb);
        if (verb == "view_check" || verb == "view_release") return view(verb);
        const auto found = stores.find(text("on", "db"));
        if (found == stores.end()) json_die("no such store", verb.c_str());
        larderpp::store &db = found->second;
        if (has("key")) return of_key(db, verb, bytes("key"), known);
        return of_store(db, verb, known);
    }
    const std::string &complaint() const { return complaint_; }

private:
    bool has(const char *key) const { return json_get(&step_, key) != nullptr; }
    std::string text(const char *key, const char *missing) const { return json_text(&step_, key, missing); }
    std::string bytes(const char *key) const { return bytes_of(*json_get(&step_, key)); }
    long long number(const char *key) const { return json_number(&step_, key); }
    const json &member(const char *key) const { return *json_get(&step_, key); }
    void want(bool holds, const std::string &what) {
        if (!holds && complaint_.empty()) complaint_ = what;
    }
    std::vector<std::pair<std::string, std::string>> pairs(const char *key) const {
        std::vector<std::pair<std::string, std::string>> all;
        for (std::size_t i = 0; i < member(key).count; i++) {
            const json &pair = member(key).items[i];
            all.emplace_back(bytes_of(pair.items[0]), bytes_of(pair.items[1]));
        }
        return all;
    }

    larder_status open() {
        larderpp::options options;
        for (std::size_t i = 0; has("options") && i < member("options").count; i++) {
            const json &option = member("options").items[i];
            options.set(option.items[0].text, option.items[1].text);
        }
        const std::string at = has("location") ? text("location", "") : std::string(directory_) + "/" + text("at", "");
        larderpp::store opened(at, options);
        stores.insert_or_assign(text("as", "db"), std::move(opened));
        return LARDER_OK;
    }

    larder_status about(const std::string &verb) {
        if (verb == "status_name") {
            want(larderpp::status_name(static_cast<larder_status>(number("number"))) == text("name", ""), "another name");
            return LARDER_OK;
        }
        const std::uint32_t n = larderpp::version_number();
        const std::string joined = std::to_string(n >> 16) + "." + std::to_string(n >> 8 & 255) + "." + std::to_string(n & 255);
        want(joined == larderpp::version(), joined);
        want(larderpp::abi_version() == number("abi"), "another ABI");
        return LARDER_OK;
    }

    larder_status cursor(const std::string &verb) {
        const auto found = cursors.find(text("on", "cursor"));
        if (verb == "cursor_close") {
            cursors.erase(found);
        } else if (!found->second.next()) {
            return LARDER_DONE;
        } else {
            const auto all = pairs("one_of");
            const std::pair<std::string, std::string> pair(found->second.key(), found->second.value());
            want(std::find(all.begin(), all.end(), pair) != all.end(), "another pair");
        }
        return LARDER_OK;
    }

    larder_status view(const std::string &verb) {
        const auto found = views.find(text("on", "view"));
        if (verb == "view_release") views.erase(found);
        else want(found->second.bytes() == bytes("value"), "another value");
        return LARDER_OK;
    }

    larder_status of_key(larderpp::store &db, const std::string &verb, const std::string &key, bool &known) {
        if (verb == "set") {
            db.set(key, bytes("value"));
        } else if (verb == "get") {
            const auto value = db.get(key);
            if (!value) return LARDER_NOT_FOUND;
            want(*value == bytes("value"), "another value");
        } else if (verb == "get_into") {
            return get_into(db, key);
        } else if (verb == "exists") {
            return db.contains(key) ? LARDER_OK : LARDER_NOT_FOUND;
        } else if (verb == "del") {
            return db.erase(key) ? LARDER_OK : LARDER_NOT_FOUND;
        } else if (verb == "set_with") {
            return set_with(db, key);
        } else if (verb == "ttl") {
            return ttl(db, key);
        } else if (verb == "expire") {
            return db.expire(key, std::chrono::milliseconds(number("ttl_ms"))) ? LARDER_OK : LARDER_NOT_FOUND;
        } else if (verb == "view") {
            auto found = db.view(key);
            if (!found) return LARDER_NOT_FOUND;
            want(found->bytes() == bytes("value"), "another value");
            views.insert_or_assign(text("as", "view"), std::move(*found));
        } else {
            known = false;
        }
        return LARDER_OK;
    }

    larder_status get_into(const larderpp::store &db, const std::string &key) {
        const auto capacity = static_cast<std::size_t>(number("capacity"));
        const std::string untouched(capacity, '\xaa');
        std::string buffer = untouched;
        const auto need = db.get_into(key, buffer.data(), capacity);
        if (!need) return LARDER_NOT_FOUND;
        if (*need > capacity) {
            want(*need == static_cast<std::size_t>(number("need")), "another need");
            want(buffer == untouched, "the buffer was touched");
            return LARDER_BUFFER_TOO_SMALL;
        }
        want(buffer.substr(0, *need) == bytes("value"), "another value");
        return LARDER_OK;
    }

    /* Which of the two conditions failed is what the caller asked for; the noexcept call says it too. */
    larder_status set_with(larderpp::store &db, const std::string &key) {
        larderpp::how how;
        how.ttl = std::chrono::milliseconds(number("ttl_ms"));
        for (std::size_t i = 0; i < member("flags").count; i++) {
            const std::string flag = member("flags").items[i].text;
            (flag == "if_absent" ? how.if_absent : flag == "if_present" ? how.if_present : how.sync) = true;
        }
        const auto version = db.set(key, bytes("value"), how);
        if (!version) return how.if_absent ? LARDER_EXISTS : LARDER_NOT_FOUND;
        want(!has("version") || *version > last_version, "the version fell");
        last_version = *version;
        return LARDER_OK;
    }

    larder_status ttl(const larderpp::store &db, const std::string &key) {
        std::chrono::milliseconds left{};
        larder_error err;
        const larder_status status = db.try_ttl(key, left, &err);
        if (status >= 100) throw larderpp::error(err);
        want(db.ttl(key).has_value() == (status == LARDER_OK), "ttl and try_ttl differ");
        if (status != LARDER_OK) return status;
        if (has("ttl_ms")) want(left.count() == number("ttl_ms"), std::to_string(left.count()));
        if (has("at_least_ms"))
            want(left.count() >= number("at_least_ms") && left.count() <= number("at_most_ms"), std::to_string(left.count()));
        return LARDER_OK;
    }

    larder_status of_store(larderpp::store &db, const std::string &verb, bool &known) {
        if (verb == "close" || verb == "close_again") db.close();
        else if (verb == "sync") db.sync();
        else if (verb == "compact") db.compact();
        else if (verb == "len") want(db.size() == static_cast<std::uint64_t>(number("count")), "another count");
        else if (verb == "verify") verify(db);
        else if (verb == "stats") stats(db);
        else if (verb == "scan") scan(db);
        else if (verb == "cursor_open") cursors.insert_or_assign(text("as", "cursor"), db.scan(bytes("prefix")));
        else if (verb == "batch") batch(db);
        else if (verb == "write_packed") write_packed(db);
        else if (verb == "get_many") get_many(db);
        else known = false;
        return LARDER_OK;
    }

    void verify(const larderpp::store &db) {
        try {
            db.verify();
        } catch (const larderpp::error &failure) {
            if (has("bad_records"))
                want(failure.bad_records() == static_cast<std::uint64_t>(number("bad_records")), "another count of bad records");
            throw;
        }
    }

    void stats(const larderpp::store &db) {
        const larder_stats found = db.stats();
        const std::map<std::string, std::uint64_t> figures = {
            {"keys", found.keys}, {"live_bytes", found.live_bytes}, {"pinned_views", found.pinned_views},
            {"gets", found.gets}, {"hits", found.hits}, {"sets", found.sets}, {"dels", found.dels},
            {"expired", found.expired}, {"compactions", found.compactions}, {"compacted_bytes", found.compacted_bytes}};
        const json &wanted = member("figures");
        for (std::size_t i = 0; i < wanted.count; i++)
            want(figures.at(wanted.keys[i]) == static_cast<std::uint64_t>(wanted.items[i].number), wanted.keys[i]);
    }

    void scan(const larderpp::store &db) {
        std::vector<std::pair<std::string, std::string>> found;
        for (const auto &[key, value] : db.scan(bytes("prefix"))) found.emplace_back(key, value);
        auto wanted = pairs("pairs");
        std::sort(found.begin(), found.end());
        std::sort(wanted.begin(), wanted.end());
        want(found == wanted, "other pairs");
    }

    void batch(larderpp::store &db) {
        larderpp::batch ops;
        for (std::size_t i = 0; i < member("ops").count; i++) {
            const json &op = member("ops").items[i];
            if (std::string(op.items[0].text) == "del") ops.erase(bytes_of(op.items[1]));
            else ops.set(bytes_of(op.items[1]), bytes_of(op.items[2]), std::chrono::milliseconds(op.count > 3 ? op.items[3].number : 0));
        }
        db.write(ops, has("sync") && member("sync").number != 0);
        want(ops.empty(), "the batch is still there");
    }

    void write_packed(larderpp::store &db) {
        std::size_t bad_offset = SIZE_MAX;
        larder_error err;
        const larder_status status = db.try_write(bytes("ops"), false, &bad_offset, &err);
        want(bad_offset == (has("bad_offset") ? static_cast<std::size_t>(number("bad_offset")) : SIZE_MAX), "another offset");
        if (status != LARDER_OK) throw larderpp::error(err);
    }

    void get_many(const larderpp::store &db) {
        std::vector<std::string> keys;
        for (std::size_t i = 0; i < member("keys").count; i++) keys.push_back(bytes_of(member("keys").items[i]));
        const auto found = db.get_many({keys.begin(), keys.end()});
        std::vector<std::optional<std::string>> wanted;
        for (std::size_t i = 0; has("values") && i < member("values").count; i++) {
            const json &value = member("values").items[i];
            if (value.kind == JSON_NULL) wanted.emplace_back();
            else wanted.emplace_back(bytes_of(value));
        }
        want(found == wanted, "other values");
    }

    const char *directory_;
    const json &step_;
    std::string complaint_;
};

} // namespace

static void vectors_reset() {
    cursors.clear();
    views.clear();
    stores.clear();
    last_version = 0;
}

static const char *vectors_status_name(int32_t status) {
    return larderpp::status_name(status).data();
}

static bool vectors_step(const char *directory, const json *step, vectors_outcome *outcome) {
    run one(directory, *step);
    bool known = true;
    try {
        outcome->status = one.carry_out(json_text(step, "do", ""), known);
    } catch (const larderpp::error &failure) {
        outcome->status = failure.status();
        outcome->os_errno = failure.os_errno();
        outcome->offset = failure.offset();
        snprintf(outcome->message, sizeof outcome->message, "%s", failure.message());
    }
    snprintf(outcome->complaint, sizeof outcome->complaint, "%s", one.complaint().c_str());
    return known;
}

int main(int argc, char **argv) {
    return argc == 2 ? vectors_main("C++", argv[1]) : 2;
}
