// The shortest tour in C++: tour [directory]
#include "larder.hpp"

#include <iostream>

int main(int argc, char **argv) {
    try {
        larderpp::store db(argc > 1 ? argv[1] : "tour.larder");
        db.set("greeting", "hello");
        larderpp::how session;
        session.ttl = std::chrono::minutes(1);
        db.set("session", "anna", session);

        larderpp::batch colours; // all or none
        colours.set("colour/red", "#f00").set("colour/blue", "#00f");
        db.write(colours);

        std::cout << db.get("greeting").value_or("nothing") << " from larder " << larderpp::version() << "\n";
        std::cout << "session lives for " << db.ttl("session")->count() << " ms more\n";
        for (const auto &[key, value] : db.scan("colour/")) std::cout << key << " = " << value << "\n";
        std::cout << std::boolalpha << db.contains("nothing") << " " << db.size() << "\n";
        db.close();
    } catch (const larderpp::error &failure) {
        std::cerr << "tour: " << failure.what() << "\n";
        return 1;
    }
    return 0;
}
