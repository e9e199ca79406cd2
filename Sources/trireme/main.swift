print("trireme")
