/*
 * A stand-in for Arduino.h: what boards/arduino.cpp and examples/arduino_sketch use of it, on a computer whose standard
 * input and output are the serial port. No board's own core was built with it.
 */
#ifndef ARDUINO_STAND_IN_H
#define ARDUINO_STAND_IN_H

#include <stddef.h>
#include <stdint.h>

#ifndef F_CPU
#define F_CPU 64000000L
#endif

class Stream {
  public:
    void begin(unsigned long baud);
    int available();
    int read();
    size_t write(const uint8_t *bytes, size_t n);
    size_t print(const char *text);
    size_t print(long number);
    size_t println(const char *text);
};

extern Stream Serial;

unsigned long millis();
unsigned long micros();
void yield();
void delay(unsigned long ms);
void noInterrupts();
void interrupts();

void setup();
void loop();

#endif
