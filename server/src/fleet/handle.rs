//! The handle to the fleet's task.

use rides_proto::{geo::LatLng, ids::CarId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    CarUpdate, CarView, DriverConnection, DriverConnectionId, FleetClosed, FleetOptions, FreeCar,
    PositionReport,
    task::{self, Input},
};
use crate::{positions::FleetTick, rides::model::CarAndDriver};

/// The capacity of the input channel. Callers wait while it is full.
const INPUT_QUEUE: usize = 1024;

/// A handle to the fleet. Cheap to clone. The fleet's task ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Fleet {
    inputs: mpsc::Sender<Input>,
}

impl Fleet {
    /// Starts the fleet's task. It sends changes to `ticks`; while that channel is full, changes accumulate for a
    /// later tick. It sends to `gone` each signed-on car that has left the map.
    pub fn spawn(
        options: FleetOptions,
        ticks: mpsc::Sender<FleetTick>,
        gone: mpsc::Sender<CarId>,
    ) -> (Self, JoinHandle<()>) {
        let (inputs, inbox) = mpsc::channel(INPUT_QUEUE);
        (Self { inputs }, tokio::spawn(task::run(options, inbox, ticks, gone)))
    }

    /// Connects a car. An older connection of the car gets [`Order::Superseded`](super::Order::Superseded) and is
    /// replaced. A car that comes back within the grace time keeps its number, its state and its meter.
    pub async fn sign_on(
        &self,
        crew: CarAndDriver,
        at: Option<LatLng>,
    ) -> Result<DriverConnection, FleetClosed> {
        self.ask(|reply| Input::SignOn { crew, at, reply }).await
    }

    /// Signs a car off at the end of a shift: it leaves the map now. Does nothing if `link` was replaced.
    pub async fn sign_off(&self, car: CarId, link: DriverConnectionId) -> Result<(), FleetClosed> {
        self.tell(Input::SignOff { car, link }).await
    }

    /// Reports that the connection was lost. The car stays on the map for the grace time. Does nothing if `link` was
    /// replaced.
    pub async fn link_lost(&self, car: CarId, link: DriverConnectionId) -> Result<(), FleetClosed> {
        self.tell(Input::LinkLost { car, link }).await
    }

    /// Applies positions of any cars in their order. An unknown car is added as off duty.
    pub async fn report(&self, reports: Vec<PositionReport>) -> Result<(), FleetClosed> {
        self.tell(Input::Report(reports)).await
    }

    /// Begins or ends a break. Does nothing if `link` was replaced.
    pub async fn set_duty(
        &self,
        car: CarId,
        link: DriverConnectionId,
        on_duty: bool,
    ) -> Result<(), FleetClosed> {
        self.tell(Input::SetDuty { car, link, on_duty }).await
    }

    /// Tells the car about a version of a ride that it has or had. Returns `false` if the brief has an order that the
    /// driver did not get: the car is not connected, or its queue of orders is full and the connection is ended now.
    pub async fn update_car(&self, car: CarId, brief: CarUpdate) -> Result<bool, FleetClosed> {
        let brief = Box::new(brief);
        self.ask(|reply| Input::UpdateCar { car, brief, reply }).await
    }

    /// Returns up to `limit` cars that can take a ride now, nearest first by straight-line distance.
    pub async fn nearest_free(&self, at: LatLng, limit: usize) -> Result<Vec<FreeCar>, FleetClosed> {
        self.ask(|reply| Input::NearestFree { at, limit, reply }).await
    }

    /// Returns one car as it is now, or `None` if it is not on the map.
    pub async fn car(&self, car: CarId) -> Result<Option<CarView>, FleetClosed> {
        self.ask(|reply| Input::Car { car, reply }).await
    }

    async fn tell(&self, input: Input) -> Result<(), FleetClosed> {
        self.inputs.send(input).await.map_err(|_| FleetClosed)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, FleetClosed> {
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply)).await?;
        answer.await.map_err(|_| FleetClosed)
    }
}
