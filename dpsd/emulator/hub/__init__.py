"""What an IoT Hub does with a connected device. Pure; time comes in."""
