# For ports with CMake (rp2, esp32): USER_C_MODULES=/path/to/bitflow/mpy_module/micropython.cmake
#
# A network is compiled in, for bitflow.Model(), with the C that `bitflow generate --target c -o NET` writes:
#   -DBITFLOW_NETWORK=/path/to/NET/name      NET/name.c and NET/name.h; the C name is the file's

set(BITFLOW_LIBRARY ${CMAKE_CURRENT_LIST_DIR}/../firmware/lib/bitflow)
file(GLOB BITFLOW_MODULE ${CMAKE_CURRENT_LIST_DIR}/*.c)
file(GLOB_RECURSE BITFLOW_SOURCES ${BITFLOW_LIBRARY}/src/*.c ${BITFLOW_LIBRARY}/src/*.S)

add_library(usermod_bitflow INTERFACE)
target_sources(usermod_bitflow INTERFACE ${BITFLOW_MODULE} ${BITFLOW_SOURCES})
target_include_directories(usermod_bitflow INTERFACE ${BITFLOW_LIBRARY}/include)

if(BITFLOW_NETWORK)
    get_filename_component(BITFLOW_FOLDER ${BITFLOW_NETWORK} DIRECTORY)
    get_filename_component(BITFLOW_NAME ${BITFLOW_NETWORK} NAME)
    target_sources(usermod_bitflow INTERFACE ${BITFLOW_NETWORK}.c)
    target_include_directories(usermod_bitflow INTERFACE ${BITFLOW_FOLDER})
    target_compile_definitions(usermod_bitflow INTERFACE
        BITFLOW_MODEL_HEADER="${BITFLOW_NAME}.h" BITFLOW_MODEL=${BITFLOW_NAME}_model)
endif()

target_link_libraries(usermod INTERFACE usermod_bitflow)
